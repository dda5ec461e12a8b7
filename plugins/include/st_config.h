/* Configuration: tables of parameters, read from JSON and written back.
 *
 * A plugin lists its parameters once. Missing keys mean defaults, unknown keys are left alone, and a bad
 * value is refused with a message that names its key. Numbers are kept to nine decimal places, so that an
 * exported state reads back as exactly the same configuration.
 */
#pragma once
#include "st_json.h"

typedef enum { ST_NUMBER, ST_BOOL, ST_CHOICE } st_param_kind;

typedef struct {
    const char *key;
    st_param_kind kind;
    double lowest, highest, fallback;
    const char *const *choices; /* ST_CHOICE: names, ended by a null pointer */
} st_param;

#define ST_MAX_PARAMS 16
#define ST_MAX_ITEMS 10
#define ST_MAX_FIELDS 6
#define ST_STATE_BYTES 2048

/* The values of one configuration: `value` in the order of the table, `item` for the list if there is one. */
typedef struct {
    double value[ST_MAX_PARAMS];
    double item[ST_MAX_ITEMS][ST_MAX_FIELDS];
    u32 items;
} st_values;

typedef struct {
    const st_param *params;
    u32 count;
    const char *list_key; /* null: no list */
    const st_param *fields;
    u32 field_count;
    const double (*default_items)[ST_MAX_FIELDS];
    u32 default_item_count;
} st_schema;

typedef struct {
    char text[160];
    u32 len;
} st_error;

ST_UNUSED static void st_defaults(const st_schema *schema, st_values *out) {
    st_zero(out, sizeof *out);
    for (u32 i = 0; i < schema->count; i++) out->value[i] = schema->params[i].fallback;
    out->items = schema->default_item_count;
    for (u32 i = 0; i < out->items; i++)
        for (u32 f = 0; f < schema->field_count; f++) out->item[i][f] = schema->default_items[i][f];
}

static int st_refuse(st_error *error, const char *where, u32 index, const char *key, const char *why, const st_param *range) {
    st_writer w = {error->text, error->text + sizeof error->text};
    if (where) {
        st_puts(&w, where), st_put(&w, '['), st_put_number(&w, (double)index), st_put(&w, ']');
        if (key) st_put(&w, '.');
    }
    if (key) st_puts(&w, key);
    if (where || key) st_puts(&w, ": ");
    st_puts(&w, why);
    if (range && range->kind == ST_NUMBER) {
        st_puts(&w, ", expected a number from "), st_put_number(&w, range->lowest);
        st_puts(&w, " to "), st_put_number(&w, range->highest);
    } else if (range && range->kind == ST_BOOL) {
        st_puts(&w, ", expected true or false");
    } else if (range) {
        st_puts(&w, ", expected one of");
        for (u32 i = 0; range->choices[i]; i++) st_puts(&w, i ? ", " : " "), st_puts(&w, range->choices[i]);
    }
    error->len = (u32)(w.at - error->text);
    return 0;
}

static int st_read_value(const st_param *param, st_slice v, double *out, const char *where, u32 index, st_error *error) {
    const st_json_type kind = st_json_kind(v);
    if (param->kind == ST_BOOL) {
        if (kind != ST_JSON_BOOL) return st_refuse(error, where, index, param->key, "wrong type", param);
        *out = *v.at == 't';
        return 1;
    }
    if (param->kind == ST_CHOICE) {
        if (kind != ST_JSON_STRING) return st_refuse(error, where, index, param->key, "wrong type", param);
        const st_slice name = {v.at + 1, v.end - 1};
        for (u32 i = 0; param->choices[i]; i++)
            if (st_slice_is(name, param->choices[i])) {
                *out = (double)i;
                return 1;
            }
        return st_refuse(error, where, index, param->key, "unknown choice", param);
    }
    if (kind != ST_JSON_NUMBER) return st_refuse(error, where, index, param->key, "wrong type", param);
    const double x = st_json_to_double(v);
    if (!(x >= param->lowest && x <= param->highest))
        return st_refuse(error, where, index, param->key, "out of range", param);
    *out = st_round(x * 1e9) / 1e9;
    return 1;
}

static int st_read_members(const st_param *params, u32 count, st_slice object, double *out, const char *where, u32 index,
                           st_error *error) {
    st_slice it = object, key, value;
    while (st_json_next(&it, &key, &value))
        for (u32 i = 0; i < count; i++)
            if (st_slice_is(key, params[i].key) && !st_read_value(&params[i], value, &out[i], where, index, error)) return 0;
    return 1;
}

/* Reads a configuration; returns 0 and fills `error` where it is refused. Empty text means the defaults. */
ST_UNUSED static int st_parse(const st_schema *schema, const char *text, u32 len, st_values *out, st_error *error) {
    st_defaults(schema, out);
    if (len == 0) return 1;
    if (!st_json_valid(text, len)) return st_refuse(error, 0, 0, 0, "the configuration is not valid JSON", 0);
    st_slice root = {text, text + len};
    st_json_space(&root);
    if (st_json_kind(root) == ST_JSON_NULL) return 1;
    if (st_json_kind(root) != ST_JSON_OBJECT) return st_refuse(error, 0, 0, 0, "the configuration is not a JSON object", 0);
    if (!st_read_members(schema->params, schema->count, root, out->value, 0, 0, error)) return 0;
    if (!schema->list_key) return 1;
    st_slice it = root, key, value;
    while (st_json_next(&it, &key, &value)) {
        if (!st_slice_is(key, schema->list_key)) continue;
        if (st_json_kind(value) != ST_JSON_ARRAY) return st_refuse(error, 0, 0, schema->list_key, "expected an array", 0);
        st_slice elements = value, element;
        u32 n = 0;
        while (st_json_next(&elements, 0, &element)) {
            if (n == ST_MAX_ITEMS) return st_refuse(error, 0, 0, schema->list_key, "more than 10 entries", 0);
            if (st_json_kind(element) != ST_JSON_OBJECT)
                return st_refuse(error, schema->list_key, n, 0, "expected an object", 0);
            for (u32 f = 0; f < schema->field_count; f++) out->item[n][f] = schema->fields[f].fallback;
            if (!st_read_members(schema->fields, schema->field_count, element, out->item[n], schema->list_key, n, error)) return 0;
            n++;
        }
        out->items = n;
    }
    return 1;
}

static void st_write_members(st_writer *w, const st_param *params, u32 count, const double *values) {
    for (u32 i = 0; i < count; i++) {
        st_puts(w, i ? ",\"" : "\""), st_puts(w, params[i].key), st_puts(w, "\":");
        if (params[i].kind == ST_BOOL) st_puts(w, values[i] != 0.0 ? "true" : "false");
        else if (params[i].kind == ST_CHOICE) st_put(w, '"'), st_puts(w, params[i].choices[(u32)values[i]]), st_put(w, '"');
        else st_put_number(w, values[i]);
    }
}

/* Writes the whole effective configuration; returns its length. */
ST_UNUSED static u32 st_export(const st_schema *schema, const st_values *values, char *out, u32 capacity) {
    st_writer w = {out, out + capacity};
    st_put(&w, '{');
    st_write_members(&w, schema->params, schema->count, values->value);
    if (schema->list_key) {
        st_puts(&w, schema->count ? ",\"" : "\""), st_puts(&w, schema->list_key), st_puts(&w, "\":[");
        for (u32 i = 0; i < values->items; i++) {
            st_puts(&w, i ? ",{" : "{");
            st_write_members(&w, schema->fields, schema->field_count, values->item[i]);
            st_put(&w, '}');
        }
        st_put(&w, ']');
    }
    st_put(&w, '}');
    return (u32)(w.at - out);
}
