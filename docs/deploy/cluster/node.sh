#!/usr/bin/env bash
# Makes a machine of the cluster ready: the shared folders in their places, and one Python with the
# loop and Ray. Called by `ray up` on every node; called again, it changes nothing.
#
#   node.sh HOST_OF_THE_SHARED_STORAGE
set -euo pipefail

storage=$1
data=${AL_LOOP_DATA:-/data}
fstab=${AL_LOOP_FSTAB:-/etc/fstab}
code=$(cd "$(dirname "$0")/../../.." && pwd)
python=3.11.14  # the Dockerfile's
uv=0.13.9
shared="alignments audio checkpoints ctc logs/tensorboard simulations"  # what workers read or write of the workspace

mount_for_good() { # SOURCE TARGET TYPE OPTIONS; a machine that was stopped comes back without us
  mkdir -p "$2"
  grep -q " $2 " "$fstab" || echo "$1 $2 $3 $4 0 0" | sudo tee -a "$fstab" >/dev/null
  mountpoint -q "$2" || sudo mount "$2"
}

command -v mount.nfs4 >/dev/null || { sudo apt-get update -qq; sudo apt-get install -qq -y nfs-common; }
python3 -c 'import ensurepip' 2>/dev/null || sudo apt-get install -qq -y python3-venv
sudo install -d -o "$(id -u)" -g "$(id -g)" "$data" "$data/workspace"
nfs=nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport,_netdev
mount_for_good "$storage:/" "$data/shared" nfs4 "$nfs"
for folder in $shared; do
  sudo install -d -o "$(id -u)" -g "$(id -g)" "$data/shared/$folder"
  mount_for_good "$data/shared/$folder" "$data/workspace/$folder" none bind,_netdev
done

[ -x ~/uv/bin/uv ] || { python3 -m venv ~/uv; ~/uv/bin/pip install --quiet "uv==$uv"; }
~/uv/bin/uv venv --quiet --allow-existing --python "$python" ~/venv
~/uv/bin/uv pip install --quiet --python ~/venv/bin/python --constraint "$code/constraints.txt" \
  --editable "$code[demo,ray,s3]" 'ray[default]'

for line in 'export PATH="$HOME/venv/bin:$PATH"' 'export RAY_AUTH_MODE=token'; do
  grep -qxF "$line" ~/.bashrc || echo "$line" >>~/.bashrc
done
