#!/usr/bin/env bash
# Makes trained/heavy-0.7-small and heavy-0.7-base again: data, stages of training, frames that a model reaches.
# A finished step is skipped, a training or a refinement that was ended on its way goes on. About nine hours of a
# core for the data, four for the stages that reach frames, nine for the small model, three more for base.
# usage: recipe.sh FOLDER STRUCTURES [WORKERS]
# STRUCTURES holds <id>.pdb and index.csv (see README.md); only rows marked train are used.
# The systems are those the shipped weights saw (shipped.txt, then more.txt and backbone.txt); SYSTEMS=systems.txt
# recipe.sh ... takes all rows instead. Their stages before the last learnt from labels at the temperatures of the
# frames, and knew no chains of two residues; which files each saw is in trained/*/data_*.csv.
# 1df6, bm_xx_run8_0733_0006 and bm_ea_run3_1140_0005 are refused by now: the shipped weights saw them with a D residue.
# How good the weights are: analysis/validation.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
structures=$(realpath "$2")
SYSTEMS=$(realpath "${SYSTEMS:-$here/shipped.txt}") "$here/data.sh" "$1/data" "$structures" "${3:-1}"
cd "$1"

pool() { [ -e "$1" ] || python "$here/pool.py" data "$@"; }
done_or_goes_on() { # folder, verb, arguments
    [ -e "$1/model.safetensors" ] || if [ -e "$1/run.json" ]; then
        cgprot "$2" --resume "$1"
    else
        cgprot "$2" "${@:3}" -o "$1"
    fi
}

# Proteins whose frames choose the best weights, and are in no training data; test proteins choose nothing.
held_out=(gb_actr_c 1fc2_0001_C)
newest=(1ext2 1guu bm_2mkx_l11a bm_eehee_rd3_1810 bm_gg_run1_1390_0006) # the last stage's
pool train.h5 "${held_out[@]/#/-}" "${newest[@]/#/-}"
pool thermal.h5 --thermal "${held_out[@]/#/-}" "${newest[@]/#/-}"
pool fragments.h5 --thermal --fragments "${held_out[@]/#/-}"
pool validation.h5 "${held_out[@]/#/+}"

cp "$here"/*.toml .
for stage in small small-thermal; do
    done_or_goes_on "$stage" train "$stage.toml"
done
# Frames where simulations by earlier stages end up: only the labels are used, hence few steps.
reach() { # folder, model, frames, seed, and what is simulated
    done_or_goes_on "$1" refine "$2" "${@:5}" --rounds 1 --replicas 1 --every-ps 0.5 --frames-per-round "$3" \
        --steps 50 --share 0.15 --seed "$4"
}
listed() { # structures and sequences
    grep -v ^ACE- "$here/$1" | sed "s|.*|$structures/&.pdb|"
    echo --sequence
    grep ^ACE- "$here/$1"
}
reach reached small-thermal 220 2 $(listed reached.txt) --temperature 300 400 --time-ps 20
for stage in small-long small-last small-torsions; do
    done_or_goes_on "$stage" train "$stage.toml"
done
reach reached-2 small-torsions 330 5 $(listed reached-2.txt) --temperature 300 400 --time-ps 20
for stage in walls wide; do
    done_or_goes_on "$stage" train "$stage.toml"
done
# Hairpins, which know nothing of the proteins that they were cut from.
mkdir -p hairpins
for part in a b; do
    for name in $(<"$here/reached-3$part.txt"); do cp "data/$name/system.pdb" "hairpins/$name.pdb"; done
    reach "reached-3$part" wide 280 7 $(sed "s|.*|hairpins/&.pdb|" "$here/reached-3$part.txt") \
        --temperature 400 --time-ps 12
done
done_or_goes_on folded train folded.toml
# The labels of frames that a model reached anew, at the temperature of all others.
again() { # folder of a refinement
    mkdir -p "again/$1"
    for path in "$1"/round_1/data/*.h5; do
        name=$(basename "$path" .h5)
        [ -e "again/$1/$name.h5" ] || cgprot label "$path" --structure "$1/structures/$name.pdb" --name "$name" \
            --temperature 300 --seed 11 -o "again/$1/$name.h5"
    done
}
for folder in reached reached-2 reached-3a reached-3b; do again "$folder"; done
pool clean.h5 --thermal --fragments "${held_out[@]/#/-}" again/*/*.h5
done_or_goes_on clean train clean.toml
# Frames of simulations at 300 K. Files of proteins have a bent OXT, as PDBFixer leaves it: the model learns to mend it.
simulated() { # name, structure, ps, every n-th frame
    [ ! -e "at_300/$1.h5" ] || return 0
    rm -rf "at_300/$1"
    cgprot simulate "$2" --model clean -o "at_300/$1" --temperature 300 --time-ps "$3" --timestep-fs 2 \
        --output-every-ps 0.5 --seed 31
    cgprot label "at_300/$1" --structure "$2" --name "$1" --every "$4" --temperature 300 --seed 32 -o "at_300/$1.h5"
}
mkdir -p at_300 nothing
while read -r name; do
    case $name in
        hairpin*) simulated "$name" "data/$name/system.pdb" 30 5 ;;
        *) simulated "$name" "$structures/$name.pdb" 15 4 ;;
    esac
done <"$here/reached-4.txt"
[ -e own.h5 ] || python "$here/pool.py" nothing own.h5 at_300/*.h5
# Made only now, so that the pools of the stages before do not hold them.
SYSTEMS="$here/more.txt" "$here/data.sh" data "$structures" "${3:-1}"
# The last stages learn from part of the systems.
seen() { awk -F, '$3 == "sampled" { print "+" $1 }' "$here/../../trained/heavy-0.7-small/data_$1.csv"; }
for stage in own more; do
    pool "systems_$stage.h5" --thermal --fragments $(seen "$stage")
    done_or_goes_on "$stage" train "$stage.toml"
done
# The larger network: every channel of the small one twice, and on with its data.
done_or_goes_on base train base.toml
# Both on with all peptides, and with every residue alone for as long as its basins take.
SYSTEMS="$here/backbone.txt" "$here/data.sh" data "$structures" "${3:-1}"
pool systems_backbone.h5 --thermal --fragments $(seen backbone)
for stage in backbone base-backbone; do
    done_or_goes_on "$stage" train "$stage.toml"
done
