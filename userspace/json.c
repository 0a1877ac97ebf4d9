// SPDX-License-Identifier: GPL-2.0
/*
 * JSON for --json.
 */
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "qvault-ctl.h"

void ctl_json_number(struct json_object *to, const char *name, uint64_t value)
{
	json_object_object_add(to, name, json_object_new_uint64(value));
}

void ctl_json_bool(struct json_object *to, const char *name, bool value)
{
	json_object_object_add(to, name, json_object_new_boolean(value));
}

/*
 * The library escapes what JSON wants escaped, and copies all other bytes: that
 * they are UTF-8, which JSON must be and a path need not, is left to us.
 */
struct json_object *ctl_json_string(const char *text)
{
	struct json_object *string = NULL;
	char *clean = NULL;
	size_t bytes;
	FILE *out = open_memstream(&clean, &bytes);

	if (out) {
		ctl_put_utf8(out, text);
		if (!fclose(out))
			string = json_object_new_string(clean);
		free(clean);
	}
	return string;
}

void ctl_json_text(struct json_object *to, const char *name, const char *text)
{
	json_object_object_add(to, name, text ? ctl_json_string(text) : NULL);
}

void ctl_json_print(struct json_object *top)
{
	puts(json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(top);
}
