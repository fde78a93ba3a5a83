"""cc_prelude: headers that many units include, compiled once a configuration and handed to them with -include-pch.

What a unit includes it still has to spell: a configuration with --//bazel:prelude=false compiles every unit from its own includes.
"""

load(":compile.bzl", "clang", "compile_unit", "module_rule")
load(":settings.bzl", "BoolSettingInfo")

PreludeInfo = provider(fields = {"pch": "File to be named by -include-pch", "header": "File it was made from"})

def _cc_prelude_impl(ctx):
    pch = ctx.actions.declare_file(ctx.label.name + ".pch")
    compile_unit(
        ctx,
        clang(ctx),
        ctx.file.header,
        cc_common.merge_cc_infos(cc_infos = [d[CcInfo] for d in ctx.attr.deps]).compilation_context,
        depset(),
        pch,
        # No times in it: it may come from a cache, to where the same headers are older or newer.
        ["-x", "c++-header", "-fpch-instantiate-templates", "-Xclang", "-fno-pch-timestamp"],
        "CppModulePrelude",
        optimised = ctx.attr._optimised[BoolSettingInfo].value,
    )
    return [DefaultInfo(files = depset([pch])), PreludeInfo(pch = pch, header = ctx.file.header)]

cc_prelude = module_rule(
    _cc_prelude_impl,
    doc = "A header that includes what many units include.",
    attrs = {
        "header": attr.label(mandatory = True, allow_single_file = [".h"]),
        "_optimised": attr.label(default = "//bazel:optimised_tests"),
    },
)
