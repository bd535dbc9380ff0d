#!/bin/bash
# The batch script of every job; nothing of a case stands in it. Arguments: ROOT GROUP CODE PYTHON CONTAINER MODULES...
# Line $SLURM_ARRAY_TASK_ID of the group's names (the first without an array) is the job; its claim makes it run once.
root=$1 group=$2 code=$3 python=$4 container=$5
shift 5
name=$(sed -n "$((${SLURM_ARRAY_TASK_ID:-0} + 1))p" "$root/jobs/$group/names")
[ -n "$name" ] || exit 64
if [ $# -gt 0 ]; then
    command -v module >/dev/null 2>&1 || . /etc/profile
    for wanted; do module load "$wanted" || exit 65; done
fi
export PYTHONPATH="$code" PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 LC_ALL=C.UTF-8
case $python in */*) PATH=${python%/*}:$PATH ;; esac
umask 077
if [ "$container" != - ]; then
    exec apptainer exec --bind "$root" "$container" "$python" -m hub.jobrunner "$root/jobs/$name" "$root/runs/$name"
fi
exec "$python" -m hub.jobrunner "$root/jobs/$name" "$root/runs/$name"
