#!/bin/sh
# Copies a backup repository to an rclone remote: rclone-copy.sh /media/backup/mail remote:mail
#
# Packs, indexes and manifests never change, so nothing is copied twice. Nothing is ever deleted. The
# manifests are listed first and copied last, so every snapshot that appears at the remote is complete
# there.
set -eu

repo=${1:?usage: rclone-copy.sh REPOSITORY REMOTE}
remote=${2:?usage: rclone-copy.sh REPOSITORY REMOTE}

if [ ! -f "$repo/config.toml" ]; then
    echo "rclone-copy.sh: $repo is not a repository; is its disk mounted?" >&2
    exit 1
fi

manifests=$(mktemp)
trap 'rm -f "$manifests"' EXIT
rclone lsf --files-only --include '*.mvmanifest' "$repo/snapshots" > "$manifests"

# With --immutable, rclone stops if a file that must never change has changed.
rclone copy --immutable --include '*.mvpack' "$repo/packs" "$remote/packs"
rclone copy --immutable --include '*.mvidx' "$repo/indexes" "$remote/indexes"
rclone copyto "$repo/config.toml" "$remote/config.toml"
rclone copy --immutable --files-from "$manifests" "$repo/snapshots" "$remote/snapshots"

echo "copied $(wc -l < "$manifests") snapshots to $remote; verify the copy from time to time:"
echo "    rclone copy $remote /some/empty/folder && msgvault-verify /some/empty/folder --all"
