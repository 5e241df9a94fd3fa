#!/usr/bin/env bash
# Labelled frames for the released models, one dataset a peptide or protein; what is done is skipped.
# usage: data.sh FOLDER STRUCTURES [WORKERS]
# STRUCTURES holds <id>.pdb and index.csv (id,split,residues,...); only rows marked train are used.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
structures=$(realpath "$2")
mkdir -p "$1" && cd "$1"
export structures OMP_NUM_THREADS=1

step() { [ -e "$1" ] || "${@:2}" -o "$1"; }

one() { # name, and a sequence or the word protein
    local name=$1 start=(--sequence "$2")
    [ "$2" != protein ] || start=("$structures/$name.pdb")
    step "$name" cgprot sample "${start[@]}" --temperature 300 400 500 --time-ps 12 --every-ps 0.5 \
        --equilibrate-ps 4 --seed 1
    local frames=("$name"/*K.trr --structure "$name/system.pdb" --name "$name")
    step "$name.h5" cgprot label "${frames[@]}" --every 2 --seed 3
    step "${name}_displaced.h5" cgprot label "${frames[@]}" --every 4 --displace 0.05 --seed 4
}
export -f step one

# A protein after every sixth peptide, so that whatever is done so far holds both.
proteins=$(awk -F, '$2 == "train" && $3 <= 60 { print $1, "protein" }' "$structures/index.csv")
awk 'NR == FNR { protein[++n] = $0; next } { print } FNR % 6 == 0 && ++k <= n { print protein[k] }' \
    <(echo "$proteins") "$here/peptides.txt" |
    xargs -P "${3:-1}" -L 1 bash -c 'one "$0" "$1" >> "$0.log" 2>&1 || echo "$0: failed, see $0.log" >&2'
