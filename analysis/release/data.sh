#!/usr/bin/env bash
# Labelled frames for the released models, one dataset for each row of systems.txt; what is done is skipped.
# usage: data.sh FOLDER STRUCTURES [WORKERS]     STRUCTURES holds <id>.pdb and index.csv
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
structures=$(realpath "$2")
mkdir -p "$1" && cd "$1"
export here structures OMP_NUM_THREADS=1

step() { [ -e "$1" ] || "${@:2}" -o "$1"; }

one() { # name, sequence or protein or PROTEIN:BRIDGE, ps, temperatures
    local name=$1 start
    if [ ! -e "$name" ]; then # under another name until it is whole
        case $2 in
            protein) start=("$structures/$name.pdb") ;;
            *:*) python "$here/disulfide.py" "$structures/${2%:*}.pdb" "${2#*:}" "${name}_start.pdb"
                start=("${name}_start.pdb") ;;
            *) start=(--sequence "$2") ;;
        esac
        rm -rf "$name.part"
        cgprot sample "${start[@]}" --temperature ${4//,/ } --time-ps "$3" --every-ps 0.5 --equilibrate-ps 2 \
            --seed 1 -o "$name.part"
        mv "$name.part" "$name"
    fi
    local frames=("$name"/*K.trr --structure "$name/system.pdb" --name "$name")
    step "$name.h5" cgprot label "${frames[@]}" --every 2 --seed 3
    step "${name}_displaced.h5" cgprot label "${frames[@]}" --every 4 --displace 0.05 --seed 4
    step "${name}_stretched.h5" cgprot label "${frames[@]}" --every 6 --displace 0.1 --stretch 0.1 --seed 5
}
export -f step one

xargs -P "${3:-1}" -L 1 bash -c 'set -e; one "$@" >> "$1.log" 2>&1 || echo "$1: failed, see $1.log" >&2' _ \
    < "${SYSTEMS:-$here/systems.txt}"
