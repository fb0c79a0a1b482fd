# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
about() { echo "the medium itself: $(findmnt -no FSTYPE --target "$data"), no FUSE and no network"; }
attach() { :; }
detach() { :; }
attached_at() { echo "$data"; }
