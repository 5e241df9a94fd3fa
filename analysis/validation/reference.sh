#!/usr/bin/env bash
# All-atom references of the validation: labelled frames of proteins that no model has seen, then trajectories
# at 300 K, one after the other on one core; what is done is skipped.
# usage: reference.sh FOLDER STRUCTURES [TABLE]
# STRUCTURES holds <name>.pdb (structures/ beside this script); TABLE the lines "name time_ps every_ps platform".
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
structures=$(realpath "$2")
table=$(realpath "${3:-$here/references.txt}")
mkdir -p "$1/labels" && cd "$1"
export OMP_NUM_THREADS=1

step() { [ -e "$1" ] || "${@:2}" -o "$1"; }
# A folder gets its name when it is whole: a sampling that was ended on its way is done anew.
sampled() { [ -e "$1" ] || { rm -rf "$1.part" && cgprot sample "${@:2}" -o "$1.part" && mv "$1.part" "$1"; }; }
rows() { grep -v '^#' "$table"; }

rows | while read -r name _; do
    [ "$name" != alanine_dipeptide ] || continue # its labels are no test: the model learns it
    sampled "labels/$name" "$structures/$name.pdb" --temperature 300 500 --time-ps 6 \
        --every-ps 0.5 --equilibrate-ps 4 --seed 11
    step "labels/$name.h5" cgprot label "labels/$name"/*K.trr --structure "labels/$name/system.pdb" \
        --name "$name" --every 3 --samples 20 --seed 13
done

rows | while read -r name time every platform; do
    sampled "$name" "$structures/$name.pdb" --temperature 300 --time-ps "$time" \
        --every-ps "$every" --equilibrate-ps 4 --platform "$platform" --seed 12
    step "${name}_300K.h5" cgprot map "$name/system.pdb" "$name/300K.trr" --name "$name"
done
