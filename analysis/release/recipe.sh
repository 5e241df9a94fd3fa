#!/usr/bin/env bash
# Makes trained/heavy-0.1-small and -base again: data, training, refinement, errors. A finished step is skipped.
# usage: recipe.sh FOLDER STRUCTURES [WORKERS]
# STRUCTURES holds <id>.pdb and index.csv (id,split,residues,...,ss_bonds,...); only rows marked train are used.
# The errors on test proteins want the references of analysis/validation, in FOLDER/references.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
structures=$(realpath "$2")
"$here/data.sh" "$1/data" "$structures" "${3:-1}"
cd "$1"

step() { [ -e "$1" ] || "${@:2}" -o "$1"; }

# Proteins whose frames choose the best weights, and are in no training data; test proteins choose nothing.
held_out=(gb_actr_c 1fc2_0001_C)
[ -e train.h5 ] || python "$here/pool.py" data train.h5 "${held_out[@]/#/-}"
[ -e validation.h5 ] || python "$here/pool.py" data validation.h5 "${held_out[@]/#/+}"

# Proteins that are not in the data yet, hot and cold: where the model goes astray, it gets labels.
unseen=(); for name in $(cat "$here/unseen.txt"); do unseen+=("$structures/$name.pdb"); done
for size in small base; do
    cp "$here/$size.toml" .
    step "$size" cgprot train "$size.toml"
    step "$size-refined" cgprot refine "$size" "${unseen[@]}" --rounds 2 --temperature 300 500 --time-ps 10 \
        --replicas 2 --frames-per-round 60 --steps 1500 --seed 1
    python "$here/../validation/validate.py" "$size-refined" "card-$size" --references references --scale small
done
