# SPDX-License-Identifier: GPL-2.0
# Bounds of bounds.h that take gigabytes to reach, made small; and what is put by for
# when memory is short, made as small as it can be.
s|^#define QVAULT_MAX_CHANGES\t.*|#define QVAULT_MAX_CHANGES 40u /* small */|
s|^#define QVAULT_LEASE\t.*|#define QVAULT_LEASE (1ull << 12) /* small */|
s|^#define QVAULT_MAX_WORK\t.*|#define QVAULT_MAX_WORK 140u /* small */|
s|^#define QVAULT_MAX_TRIM\t.*|#define QVAULT_MAX_TRIM 5u /* small */|
s|^#define QVAULT_TRIMS\t.*|#define QVAULT_TRIMS 3u /* small */|
1s|^|#define QVAULT_FAMINE /* small */\n|
