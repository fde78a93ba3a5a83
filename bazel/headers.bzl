"""cc_header_module: headers of the standard library, compiled once a configuration; a unit that includes one of them loads what it needs.

Without it each interface parses them anew, and its BMI brings a copy of what they declare, which every importer has to compare with all the
others: most of what compiling takes. What a unit includes it still has to spell, but who includes one of these headers sees all of them, so a
configuration with --//bazel:prelude=false compiles every unit from its own includes.

This is clang's own kind of module (https://clang.llvm.org/docs/Modules.html): the map says which file belongs to it, and an #include of
such a file becomes an import.
"""

load(":compile.bzl", "HeadersInfo", "clang", "compile_unit", "module_rule", "script")

_MODULES = ["-fmodules", "-fno-implicit-modules", "-fno-implicit-module-maps"]

def _cc_header_module_impl(ctx):
    compiler = clang(ctx)
    nothing = cc_common.merge_cc_infos(cc_infos = []).compilation_context
    name = ctx.label.name

    # Where they lie, the compiler knows.
    found = ctx.actions.declare_file(name + ".modulemap")
    compile_unit(ctx, compiler, ctx.file.header, nothing, depset(), found, ["-x", "c++"], "CppHeaderMap", wrapper = ctx.executable._mapper)

    bmi = ctx.actions.declare_file(name + ".pcm")
    compile_unit(
        ctx,
        compiler,
        found,
        nothing,
        depset(),
        bmi,
        ["-x", "c++"] + _MODULES + ["-fmodule-name=" + name, "-Xclang", "-emit-module"],
        "CppHeaderModule",
    )
    return [
        DefaultInfo(files = depset([bmi])),
        HeadersInfo(
            flags = _MODULES + ["-fmodule-map-file=" + found.path, "-fmodule-file={}={}".format(name, bmi.path)],
            files = [found, bmi],
        ),
    ]

cc_header_module = module_rule(
    _cc_header_module_impl,
    doc = "What one header includes, and nothing else, as one module.",
    attrs = {
        "header": attr.label(mandatory = True, allow_single_file = [".h"]),
        "_mapper": script("//bazel:map_headers.sh"),
    },
    takes_headers = False,
)
