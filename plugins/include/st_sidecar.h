/* The host's sidecars, as a component imports them: processes, and channels to them. */
#pragma once
#include "st_component.h"

#define ST_SIDECAR "stellatune:plugin/sidecar@0.1.0"

enum { ST_SCOPE_INSTANCE, ST_SCOPE_PACKAGE_SHARED };
enum { ST_STDIO, ST_NAMED_PIPE, ST_UNIX_SOCKET, ST_LOOPBACK_TCP, ST_SHARED_MEMORY_RING };

typedef struct {
    u8 kind, priority;
    st_option_u32 max_frame_bytes;
} st_transport;
typedef struct {
    st_text name, value;
} st_variable;
typedef struct {
    u8 failed;
    union {
        u32 value;
        st_plugin_error error;
    };
} st_result_u32;
_Static_assert(sizeof(st_transport) == 12, "canonical layout");
_Static_assert(sizeof(st_result_u32) == 16, "canonical layout");

typedef struct {
    u8 scope;
    st_text executable;
    const st_text *args;
    u32 arg_count;
    const st_transport *control;
    u32 control_count;
    const st_transport *data;
    u32 data_count;
    const st_variable *env;
    u32 env_count;
} st_launch;

ST_IMPORT(ST_SIDECAR, "launch")
void st_import_launch(
    u32 scope, const void *executable, u32 executable_len, const st_text *args, u32 arg_count, const st_transport *control,
    u32 control_count, const st_transport *data, u32 data_count, const st_variable *env, u32 env_count, st_result_handle *result
);
ST_IMPORT(ST_SIDECAR, "[method]process.open-control") void st_import_open_control(i32 process, st_result_handle *result);
ST_IMPORT(ST_SIDECAR, "[method]process.open-data")
void st_import_open_data(i32 process, const void *role, u32 len, const st_transport *preferred, u32 count, st_result_handle *result);
ST_IMPORT(ST_SIDECAR, "[method]process.terminate") void st_import_terminate(i32 process, u32 grace_ms, st_result_unit *result);
ST_IMPORT(ST_SIDECAR, "[resource-drop]process") void st_import_process_drop(i32 process);
ST_IMPORT(ST_SIDECAR, "[method]channel.write") void st_import_channel_write(i32 channel, const void *at, u32 len, st_result_u32 *result);
ST_IMPORT(ST_SIDECAR, "[method]channel.read")
void st_import_channel_read(i32 channel, u32 most, u32 has_timeout, u32 timeout_ms, st_result_bytes *result);
ST_IMPORT(ST_SIDECAR, "[resource-drop]channel") void st_import_channel_drop(i32 channel);

/* Something that the host holds for this component; all zero for nothing. */
typedef struct {
    u8 open;
    i32 handle;
} st_owned;

static int st_took(const st_result_handle *r, st_owned *out, st_plugin_error *error) {
    if (r->failed) return *error = r->error, 0;
    *out = (st_owned){1, r->handle};
    return 1;
}
ST_UNUSED static int st_sidecar_launch(const st_launch *l, st_owned *process, st_plugin_error *error) {
    static st_result_handle r;
    st_import_launch(
        l->scope, l->executable.at, l->executable.len, l->args, l->arg_count, l->control, l->control_count, l->data, l->data_count,
        l->env, l->env_count, &r
    );
    return st_took(&r, process, error);
}
ST_UNUSED static int st_sidecar_control(st_owned process, st_owned *channel, st_plugin_error *error) {
    static st_result_handle r;
    st_import_open_control(process.handle, &r);
    return st_took(&r, channel, error);
}
ST_UNUSED static int st_sidecar_data(
    st_owned process, st_text role, const st_transport *preferred, u32 count, st_owned *channel, st_plugin_error *error
) {
    static st_result_handle r;
    st_import_open_data(process.handle, role.at, role.len, preferred, count, &r);
    return st_took(&r, channel, error);
}
/* How many bytes were taken, or -1 with `error` filled in. */
ST_UNUSED static i64 st_channel_write(st_owned channel, const void *at, u32 len, st_plugin_error *error) {
    static st_result_u32 r;
    st_import_channel_write(channel.handle, at, len, &r);
    if (r.failed) return *error = r.error, -1;
    return r.value < len ? r.value : len;
}
/* What came within the time; no bytes where nothing did. Lives until the call of the export ends. */
ST_UNUSED static int st_channel_read(st_owned channel, u32 most, u32 timeout_ms, st_text *out, st_plugin_error *error) {
    static st_result_bytes r;
    st_import_channel_read(channel.handle, most, 1, timeout_ms, &r);
    if (r.failed) return *error = r.error, 0;
    *out = r.bytes;
    return 1;
}
/* Gives a channel back to the host, which closes it. */
ST_UNUSED static void st_channel_close(st_owned *channel) {
    if (channel->open) st_import_channel_drop(channel->handle);
    channel->open = 0;
}
/* Asks the process to stop, and lets go of it. */
ST_UNUSED static void st_sidecar_stop(st_owned *process, u32 grace_ms) {
    static st_result_unit r;
    if (process->open) st_import_terminate(process->handle, grace_ms, &r), st_import_process_drop(process->handle);
    process->open = 0;
}
