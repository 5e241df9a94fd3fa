#!/usr/bin/env bash
# Makes trained/heavy-demo again: all-atom data, mean-force labels, training.
# usage: recipe.sh FOLDER [CHIGNOLIN.pdb]     two cores, about two hours; a finished step is skipped
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
chignolin=$(realpath "${2:-$here/../../examples/chignolin.pdb}")
mkdir -p "$1" && cd "$1"

step() { [ -e "$1" ] || "${@:2}" -o "$1"; }

hot="300 350 400 450 500"
step chignolin cgprot sample "$chignolin" --temperature $hot --time-ps 200 --every-ps 1 --seed 1 --workers 2
step chignolin_test cgprot sample "$chignolin" --temperature 300 400 500 --time-ps 50 --seed 2 --workers 2

step chignolin.h5 cgprot label chignolin/*K.trr --structure chignolin/system.pdb --seed 1 --workers 2
step chignolin_displaced.h5 cgprot label chignolin/*K.trr --structure chignolin/system.pdb \
    --name chignolin --every 4 --displace 0.05 --seed 2 --workers 2
for seed in 7 8; do
    step chignolin_test_$seed.h5 cgprot label chignolin_test/*K.trr --structure chignolin_test/system.pdb \
        --name chignolin --every 2 --seed $seed --workers 2
done

while read -r name sequence; do
    step "$name" cgprot sample --sequence "$sequence" --temperature 300 400 500 --time-ps 40 --seed 1 --workers 2
    step "$name.h5" cgprot label "$name"/*K.trr --structure "$name/system.pdb" --seed 3 --workers 2
    step "${name}_displaced.h5" cgprot label "$name"/*K.trr --structure "$name/system.pdb" \
        --name "$name" --every 4 --displace 0.05 --seed 4 --workers 2
done < "$here/peptides.txt"

cp "$here/config.toml" .
step run cgprot train config.toml
cgprot evaluate run chignolin_test_7.h5
