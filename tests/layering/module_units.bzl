"""module_units: a JSON list of all units below some modules: what their BUILD targets declare, and what the compiler saw them import."""

load("//bazel:compile.bzl", "ModuleInfo")

def _module_units_impl(ctx):
    units = depset(transitive = [d[ModuleInfo].units for d in ctx.attr.modules]).to_list()
    list = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(list, json.encode_indent([
        {"label": u.label, "name": u.name, "source": u.source.path, "deps": u.deps, "scan": u.scan.short_path}
        for u in units
    ]))
    scans = [u.scan for u in units]
    return [DefaultInfo(files = depset([list]), runfiles = ctx.runfiles([list] + scans))]

module_units = rule(
    implementation = _module_units_impl,
    attrs = {"modules": attr.label_list(providers = [ModuleInfo])},
)
