#!/bin/sh
# The hub's hands on a login node: login.sh ACTION ROOT SCHEDULER ... with one line for each job on standard input.
# Every action may be done again at any time. Below ROOT: code/<digest>, incoming, runs/<name> (attempts), and
# jobs/<name or group>: names, intent, id of a submission; claim, beat, started, cancel, ended of a job (hub.jobrunner).
# Names are made by the hub of [a-z0-9-]; one line of an answer begins with a letter that says what it is.
set -u
LC_ALL=C
export LC_ALL
umask 077
action=$1 root=$2 scheduler=$3
shift 3
cd "$root" || exit 66

# I GROUP ID: accepted; R GROUP WHY: refused; B GROUP: an earlier try is still at it; T GROUP: nobody could be asked
submit_group() { # options, script and its arguments; the rest stands in variables
    if [ -s "jobs/$group/id" ]; then
        echo "I $group $(cat "jobs/$group/id")"
        return
    fi
    if [ -e "jobs/$group/intent" ]; then # an earlier try broke off: what became of it is asked before anything is done
        known=$(squeue -h -t all -n "$group" -o %F) || { echo "T $group" && return; }
        known=$(echo "$known" | head -n 1)
        if [ -n "$known" ]; then
            echo "$known" >"jobs/$group/id.part" && mv -f "jobs/$group/id.part" "jobs/$group/id"
            echo "I $group $known"
            return
        fi
        [ ! -e "jobs/$group/claim" ] || { echo "I $group 0" && return; }
    fi
    : >"jobs/$group/intent" || { echo "T $group" && return; }
    # a job knows these and what Slurm adds; --export=NONE would load a login's environment, which takes seconds
    if answer=$(env -i HOME="$HOME" USER="${USER:-}" PATH="$PATH" ${SLURM_CONF:+"SLURM_CONF=$SLURM_CONF"} \
        sbatch --parsable --no-requeue --export=ALL -J "$group" --comment="$group" -D "$root/jobs/$group" \
        -N "$nodes" -n "$ranks" --mem="${memory}M" -t "$minutes" "$@" 2>&1); then
        answer=$(echo "$answer" | tail -n 1)
        echo "${answer%%;*}" >"jobs/$group/id.part" && mv -f "jobs/$group/id.part" "jobs/$group/id"
        echo "I $group ${answer%%;*}"
    else
        case $answer in
        *[Tt]imed\ out* | *[Uu]nable\ to\ contact* | *onnect* | *ommunication* | *try\ again* | *temporarily* | *rotocol*)
            echo "T $group" ;; # it may have been accepted: the intent stays
        *)
            rm -f "jobs/$group/intent"
            echo "R $group $(echo "$answer" | tail -n 1)" ;;
        esac
    fi
}

submit() { # CODE PYTHON CONTAINER PARTITION ACCOUNT MODULES...; lines: GROUP NODES RANKS MEMORY MINUTES NAMES...
    code=$1 python=$2 container=$3 partition=$4 account=$5 begun=0
    shift 5
    while read -r group nodes ranks memory minutes names; do
        mkdir -p "jobs/$group"
        (
            flock -n 9 || { echo "B $group" && exit; }
            printf '%s\n' $names >"jobs/$group/names" # names are words
            set -- "$root/code/$code/hub/batch.sh" "$root" "$group" "$root/code/$code" "$python" "$container" "$@"
            case $names in
            *\ *) set -- "--array=0-$(($(echo "$names" | wc -w) - 1))" -o "slurm.%A_%a" "$@" ;;
            *) set -- -o "slurm.%j" "$@" ;;
            esac
            [ "$partition" = - ] || set -- -p "$partition" "$@"
            [ "$account" = - ] || set -- -A "$account" "$@"
            submit_group "$@"
        ) 9>"jobs/$group/lock" &
        begun=$((begun + 1)) # some at a time: most of a submission is waiting for the controller
        [ $((begun % 4)) -ne 0 ] || wait
    done
    wait
}

here() { # the executor of this machine, for a place without a scheduler: ACTION CODE PYTHON CONTAINER
    PYTHONPATH=$root/code/$2 PYTHONSAFEPATH=1
    export PYTHONPATH PYTHONSAFEPATH
    if [ "$4" = - ]; then "$3" -m hub.local "$root" "$1"; else
        apptainer exec --bind "$root" "$4" "$3" -m hub.local "$root" "$1"
    fi
}

send_file() { # NAME FILE SIZE COMMAND...
    what="F $1 $2 $3"
    shift 3
    echo "$what $("$@" | base64 -w 0)"
}

case $action in
place) # BUNDLE; lines: NAME, then earlier attempts, newest first, whose checkpoint it goes on from
    rm -rf "incoming/$1" && mkdir "incoming/$1" || exit 67
    [ ! -e "incoming/$1.tar" ] || tar -xf "incoming/$1.tar" -C "incoming/$1" || exit 67
    while read -r name earlier; do
        if [ ! -d "runs/$name" ] && [ -d "incoming/$1/$name" ]; then
            mkdir -p "incoming/$1/$name/out" "jobs/$name"
            for before in $earlier; do
                if [ -n "$(ls "runs/$before/checkpoint" 2>/dev/null | grep -v '\.part$')" ]; then
                    mkdir -p "incoming/$1/$name/in/checkpoint"
                    for file in "runs/$before/checkpoint"/*; do
                        case $file in *.part) ;; *) ln "$file" "incoming/$1/$name/in/checkpoint/" ;; esac
                    done
                    break
                fi
            done
            mv "incoming/$1/$name" "runs/$name"
        fi
        [ ! -d "runs/$name" ] || echo "P $name"
    done
    rm -rf "incoming/$1" "incoming/$1.tar"
    ;;
submit)
    if [ "$scheduler" = slurm ]; then submit "$@"; else
        while read -r name; do echo "$root/runs/$name"; done | here submit "$1" "$2" "$3" | sed 's/^/W /'
    fi
    ;;
foresee) # CODE PARTITION ACCOUNT; lines: NODES RANKS MEMORY MINUTES. T NODES-RANKS-... NOW WORDS: when it would start
    code=$1 partition=$2 account=$3
    while read -r nodes ranks memory minutes; do
        set -- -N "$nodes" -n "$ranks" --mem="${memory}M" -t "$minutes"
        [ "$partition" = - ] || set -- -p "$partition" "$@"
        [ "$account" = - ] || set -- -A "$account" "$@"
        said=$(unset SLURM_TIME_FORMAT && TZ=UTC timeout 20 sbatch --test-only "$@" "$root/code/$code/hub/batch.sh" 2>&1 </dev/null)
        [ $? -ne 124 ] || break # who does not answer is not asked the rest
        echo "T $nodes-$ranks-$memory-$minutes $(date +%s) $(echo "$said" | tr '\n' ' ')"
    done
    ;;
look) # ASK CODE PYTHON CONTAINER; lines: NAME, sizes of its log and history here. ASK: the scheduler too
    lines=$(cat)
    if [ "$1" = 1 ]; then
        shift
        if [ "$scheduler" = slurm ]; then
            if words=$(squeue -h -r -t all -u "$(id -un)" -o '%i|%T|%r|%j'); then
                echo "$words" | sed 's/^/W /'
                echo Q
            fi
        elif words=$(echo "$lines" | cut -d ' ' -f 1 | here poll "$@"); then
            echo "$words" | sed 's/^/W /'
            echo Q
        fi
    fi
    while read -r name log history; do
        [ -n "$name" ] || continue
        job=jobs/$name run=runs/$name flags=- beat=0
        [ ! -e "$job/claim" ] || flags=${flags}c
        [ ! -e "$job/started" ] || flags=${flags}s
        [ ! -e "$job/ended" ] || flags=${flags}e
        [ ! -s "$job/beat" ] || read -r beat <"$job/beat"
        case $flags in
        *s*)
            [ ! -e "$run/status.json" ] || send_file "$name" status.json 0 cat "$run/status.json"
            if [ -e "$run/log.txt" ] && size=$(wc -c <"$run/log.txt") && [ "$size" != "$log" ]; then
                send_file "$name" log.txt "$size" tail -c 20000 "$run/log.txt"
            fi
            if [ -e "$run/history.jsonl" ] && [ "$(wc -c <"$run/history.jsonl")" -gt "$history" ]; then
                echo "F $name history.jsonl $history $(tail -c +$((history + 1)) "$run/history.jsonl" | head -c 200000 | base64 -w 0)"
            fi
            ;;
        esac
        echo "J $name $flags $beat"
    done <<lines_end
$lines
lines_end
    ;;
ends) # lines: NAME GROUP ID; sizes of what its folder holds, sha256 of the results, and the last words of its node
    while read -r name group id; do
        [ -d "runs/$name" ] || { echo "N $name" && continue; }
        (
            cd "runs/$name" || exit
            find . \( -path ./in -o -path ./checkpoint \) -prune -o -type f -printf "E $name %s %P\n"
            find out -type f -exec sha256sum {} + | sed "s/^/H $name /"
        )
        said=$(tail -c 3000 "jobs/$group/slurm.$id" 2>/dev/null | base64 -w 0)
        [ -z "$said" ] || echo "F $name slurm 0 $said"
        echo "D $name"
    done
    ;;
pack) # lines: files below runs
    tar -C runs -cf - --no-recursion --ignore-failed-read -T - 2>/dev/null
    ;;
cancel) # CODE PYTHON CONTAINER; lines: NAME ID (- if none is known)
    lines=$(cat)
    while read -r name id; do
        [ -n "$name" ] || continue
        mkdir -p "jobs/$name"
        : >"jobs/$name/cancel"
        if [ "$scheduler" = slurm ]; then # who has not begun never will
            echo null >"jobs/$name/nobody" && ln "jobs/$name/nobody" "jobs/$name/claim" 2>/dev/null
            case $id in - | 0) timeout 20 scancel -n "$name" 2>/dev/null ;; esac
        fi
    done <<lines_end
$lines
lines_end
    [ "$scheduler" != slurm ] || echo "$lines" | cut -d ' ' -f 2 | grep -v '^[-0]$' | xargs -r -n 100 timeout 40 scancel 2>/dev/null
    [ "$scheduler" = slurm ] || echo "$lines" | cut -d ' ' -f 1 | here cancel "$@" | sed 's/^/W /'
    ;;
bury) # lines: NAME; nobody will ever run it; U NAME if nobody did
    while read -r name; do
        mkdir -p "jobs/$name"
        echo null >"jobs/$name/nobody"
        if ln "jobs/$name/nobody" "jobs/$name/claim" 2>/dev/null || [ "$(cat "jobs/$name/claim")" = null ]; then echo "U $name"; fi
    done
    ;;
remove) # lines: NAME; its claim stays
    while read -r name; do [ -n "$name" ] && rm -rf "runs/$name"; done
    ;;
esac
exit 0
