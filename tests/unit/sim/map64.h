/* SPDX-License-Identifier: GPL-2.0 */
/* A hash table from numbers to pointers: open addressing, no removal. */
#ifndef SIM_MAP64_H
#define SIM_MAP64_H
#include <stdlib.h>
#include "rng.h"

struct map64 {
	u64 *keys;		/* plus one; 0: empty */
	void **values;
	u64 mask;		/* size - 1 */
	u64 nr;
};

static inline void map64_free(struct map64 *map)
{
	free(map->keys);
	free(map->values);
	map->keys = NULL;
	map->values = NULL;
	map->nr = 0;
	map->mask = 0;
}

static inline u64 map64_place(const struct map64 *map, u64 key)
{
	u64 i = mix64(key) & map->mask;

	while (map->keys[i] && map->keys[i] != key + 1)
		i = (i + 1) & map->mask;
	return i;
}

static inline void *map64_get(const struct map64 *map, u64 key)
{
	u64 i;

	if (!map->nr)
		return NULL;
	i = map64_place(map, key);
	return map->keys[i] ? map->values[i] : NULL;
}

static inline void map64_grow(struct map64 *map)
{
	struct map64 old = *map;
	u64 size = old.keys ? 2 * (old.mask + 1) : 64, i, j;

	map->mask = size - 1;
	map->keys = calloc(size, sizeof(*map->keys));
	map->values = calloc(size, sizeof(*map->values));
	for (i = 0; old.keys && i <= old.mask; i++) {
		if (!old.keys[i])
			continue;
		j = map64_place(map, old.keys[i] - 1);
		map->keys[j] = old.keys[i];
		map->values[j] = old.values[i];
	}
	free(old.keys);
	free(old.values);
}

/* The place of @key's value, which is NULL when it is new. */
static inline void **map64_slot(struct map64 *map, u64 key)
{
	u64 i;

	if (!map->keys || 2 * map->nr >= map->mask)
		map64_grow(map);
	i = map64_place(map, key);
	if (!map->keys[i]) {
		map->keys[i] = key + 1;
		map->nr++;
	}
	return &map->values[i];
}
#endif
