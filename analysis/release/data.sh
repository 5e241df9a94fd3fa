#!/usr/bin/env bash
# Labelled frames for the released models, one dataset for each row of systems.txt; what is done is skipped.
# usage: data.sh FOLDER STRUCTURES [WORKERS]     STRUCTURES holds <id>.pdb and index.csv
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
structures=$(realpath "$2")
mkdir -p "$1" && cd "$1"
export here structures OMP_NUM_THREADS=1

step() { [ -e "$1" ] || "${@:2}" -o "$1"; }

# The links of a chain are joined by &&: within a condition bash does not end at what fails.
starting_structure() { # name, sequence or protein or PROTEIN:FRAGMENT; leaves the words in `start`
    case $2 in
        protein) start=("$structures/$1.pdb") ;;
        *:*) start=("${1}_start.pdb") &&
            python -W ignore "$here/fragment.py" "$structures/${2%:*}.pdb" "${2#*:}" "${1}_start.pdb" ;;
        *) start=(--sequence "$2") ;;
    esac
}

sampled() { # name, source, ps, temperatures; under another name until it is whole
    [ ! -e "$1" ] || return 0
    local start
    starting_structure "$1" "$2" && rm -rf "$1.part" &&
        cgprot sample "${start[@]}" --temperature ${4//,/ } --time-ps "$3" --every-ps 0.5 --equilibrate-ps 2 \
            --seed 1 -o "$1.part" && mv "$1.part" "$1"
}

one() { # name, sequence or protein or PROTEIN:FRAGMENT, ps, temperatures
    sampled "$@" || return
    # Hydrogens of one temperature: at 500 K the mean force on a residue is another by 0.24 kcal/mol/Å a component.
    local frames=("$1"/*K.trr --structure "$1/system.pdb" --name "$1" --temperature 300) failed=0
    case $1 in
        cut?_* | hairpin?_* | hydroxyl?_*) # many that are short: all their frames, as they are
            step "$1.h5" cgprot label "${frames[@]}" --seed 3
            return ;;
        ends?_*)
            step "$1.h5" cgprot label "${frames[@]}" --every 2 --seed 3 || failed=1
            step "${1}_twisted.h5" cgprot label "${frames[@]}" --every 2 --twist 180 --seed 6 || failed=1
            return $failed ;;
    esac
    step "$1.h5" cgprot label "${frames[@]}" --every 2 --seed 3 || failed=1
    step "${1}_displaced.h5" cgprot label "${frames[@]}" --every 4 --displace 0.05 --seed 4 || failed=1
    step "${1}_stretched.h5" cgprot label "${frames[@]}" --every 6 --displace 0.1 --stretch 0.1 --seed 5 || failed=1
    # The single residues: longer chains clash, and turn about the same bonds.
    case $1 in basins_* | long_*)
        step "${1}_twisted.h5" cgprot label "${frames[@]}" --every 3 --twist 180 --seed 6 || failed=1 ;;
    esac
    return $failed
}
export -f step starting_structure sampled one

xargs -P "${3:-1}" -L 1 bash -c 'one "$@" >> "$1.log" 2>&1 || echo "$1: failed, see $1.log" >&2' _ \
    < "${SYSTEMS:-$here/systems.txt}"
