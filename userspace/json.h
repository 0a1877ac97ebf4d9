/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What --json prints is made with these.
 */
#ifndef QVAULT_CTL_JSON_H
#define QVAULT_CTL_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

void ctl_json_number(struct json_object *to, const char *name, uint64_t value);
void ctl_json_bool(struct json_object *to, const char *name, bool value);
/* NULL is null.  What is no UTF-8 becomes U+FFFD. */
void ctl_json_text(struct json_object *to, const char *name, const char *text);
struct json_object *ctl_json_string(const char *text);
/* Prints @top and lets go of it. */
void ctl_json_print(struct json_object *top);

#endif
