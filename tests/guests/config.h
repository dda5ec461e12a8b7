/* The four config and state methods of an actor's resource, over "configured" and "exported", which it defines before
 * it includes this, with RESOURCE: interface, #[method] and the resource's name up to the point.
 *
 * configured(json, size) takes a configuration; exported() gives the state as JSON.
 */
EXPORT(RESOURCE "plan-config-update-json") plan_result *plan_config(void *self, const char *json, u32 size) {
    static plan_result result;
    HOOK("plan");
    arena_used = 0;
    REFUSED(result)
    result.answer = (plan){0, {0, {0, 0}}};
    if (plays("plan:recreate")) result.answer.mode = 1;
    if (plays("plan:reject")) result.answer = (plan){2, {1, TEXT("not \x1b[2Jtoday")}};
    return &result;
}
EXPORT(RESOURCE "apply-config-update-json") unit_result *apply_config(void *self, const char *json, u32 size) {
    HOOK("apply");
    arena_used = 0;
    if (plays("apply:refuse")) return fail(INVALID_ARG, TEXT("not this one"));
    if (error_wanted) return done();
    return configured(json, size);
}
EXPORT(RESOURCE "export-state-json") state_result *export_state(void *self) {
    static state_result result;
    HOOK("export");
    arena_used = 0;
    REFUSED(result)
    result.state = (maybe_text){1, exported()};
    if (plays("export:garbage")) result.state.value = TEXT("{not json");
    return &result;
}
EXPORT(RESOURCE "import-state-json") unit_result *import_state(void *self, const char *json, u32 size) {
    HOOK("import");
    arena_used = 0;
    return done();
}
EXPORT(RESOURCE "close") void close_(void *self) { HOOK("close"); }
