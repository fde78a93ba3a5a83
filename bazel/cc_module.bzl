"""C++20 named modules for a Bazel that has none: clang, one action per unit, BMIs passed on from target to target.

    cc_module          one interface unit, a primary or a partition, and its implementation units
    cc_module_library  ordinary units that import modules
    cc_module_test     cc_test over ordinary units that import modules
    cc_module_binary   cc_binary over the same

An interface is compiled once, to an object and to a reduced BMI (no function bodies an importer cannot use). There is one kind of object,
position independent: it serves executables and shared libraries, and linking an executable relaxes its thread-local accesses.
"""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_test")
load(":compile.bzl", "ModuleInfo", "clang", "compile_unit", "imported_modules", "module_rule", "script")

# An interface goes to an object and to a reduced BMI.
_INTERFACE = ["-x", "c++-module", "-fexperimental-modules-reduced-bmi"]

def _declare(ctx, source, extension):
    return ctx.actions.declare_file("_modules/{}/{}.{}".format(ctx.label.name, source.basename, extension))

def _compile_all(ctx, clang, sources, compilation_context, bmis):
    """Compiles units that nobody imports; returns their objects."""
    objects = []
    for source in sources:
        objects.append(_declare(ctx, source, "o"))
        compile_unit(ctx, clang, source, compilation_context, bmis, objects[-1], ["-x", "c++"], "CppModuleUse")
    return objects

def _scan(ctx, clang, source, compilation_context):
    """What the unit provides and requires (P1689), for the layering test; not made unless asked for."""
    scan = _declare(ctx, source, "p1689.json")
    compile_unit(ctx, clang, source, compilation_context, depset(), scan, [], "CppModuleScan", wrapper = ctx.executable._scanner)
    return scan

def _link(ctx, clang, objects, alwayslink):
    context, _ = cc_common.create_linking_context_from_compilation_outputs(
        name = ctx.label.name,
        actions = ctx.actions,
        feature_configuration = clang.features,
        cc_toolchain = clang.toolchain,
        compilation_outputs = cc_common.create_compilation_outputs(
            objects = depset(objects),
            pic_objects = depset(objects),
        ),
        linking_contexts = [d[CcInfo].linking_context for d in ctx.attr.deps + getattr(ctx.attr, "private_deps", [])],
        user_link_flags = ["-pthread"],
        alwayslink = alwayslink,
        disallow_dynamic_library = True,
    )
    return context

def _primary_reexports(ctx, partitions):
    """A file that exists only when the primary says `export import :x;` for each of its partitions."""
    checked = ctx.actions.declare_file("_modules/{}/partitions.checked".format(ctx.label.name))
    arguments = ctx.actions.args()
    arguments.add(checked)
    arguments.add(ctx.file.interface)
    arguments.add_all([p.name.partition(":")[2] for p in partitions])
    ctx.actions.run(
        mnemonic = "CppModulePartitions",
        executable = ctx.executable._check_primary,
        inputs = [ctx.file.interface],
        outputs = [checked],
        arguments = [arguments],
    )
    return checked

def _cc_module_impl(ctx):
    compiler = clang(ctx)
    headers = cc_common.merge_cc_infos(cc_infos = [d[CcInfo] for d in ctx.attr.deps]).compilation_context

    # What the module's own units see, and no importer's.
    private = cc_common.merge_cc_infos(cc_infos = [d[CcInfo] for d in ctx.attr.private_deps]).compilation_context
    own_headers = cc_common.merge_cc_infos(
        cc_infos = [CcInfo(compilation_context = private), CcInfo(compilation_context = headers)],
    ).compilation_context
    modules, bmis = imported_modules(ctx)

    # A partition may come from another package, but not through a third target: the primary lists what it re-exports.
    partitions = [m for m in modules if m.name.startswith(ctx.attr.module + ":")]
    checks = [_primary_reexports(ctx, partitions)] if partitions else []

    bmi = _declare(ctx, ctx.file.interface, "pcm")
    object = _declare(ctx, ctx.file.interface, "o")
    compile_unit(
        ctx,
        compiler,
        ctx.file.interface,
        own_headers,
        bmis,
        object,
        _INTERFACE + ["-fmodule-output=" + bmi.path],
        "CppModule",
        more_outputs = [bmi],
        inputs = checks,
    )
    origin = struct(
        name = ctx.attr.module,
        file = bmi,
        sources = tuple([ctx.file.interface] + private.headers.to_list()),
    )
    bmis = depset([origin], transitive = [bmis])
    objects = [object] + _compile_all(ctx, compiler, ctx.files.impl, own_headers, bmis)

    units = [
        struct(
            label = str(ctx.label),
            name = ctx.attr.module,
            source = source,
            deps = tuple([m.name for m in modules]),
            scan = _scan(ctx, compiler, source, own_headers),
        )
        for source in [ctx.file.interface] + ctx.files.impl
    ]
    return [
        DefaultInfo(files = depset(objects + [bmi])),
        ModuleInfo(
            name = ctx.attr.module,
            bmis = bmis,
            units = depset(units, transitive = [m.units for m in modules]),
        ),
        CcInfo(
            compilation_context = headers,
            linking_context = _link(ctx, compiler, objects, alwayslink = False),
        ),
    ]

def _cc_module_library_impl(ctx):
    compiler = clang(ctx)

    # `#include "tests/support/x.h"`: from the root of the repository the target is in, sources and generated files alike.
    repository = "/" + ctx.label.workspace_root if ctx.label.workspace_root else ""
    own = cc_common.create_compilation_context(
        headers = depset(ctx.files.hdrs),
        quote_includes = depset(["." + repository, ctx.bin_dir.path + repository]),
    )
    headers = cc_common.merge_cc_infos(
        cc_infos = [CcInfo(compilation_context = own)] + [d[CcInfo] for d in ctx.attr.deps],
    ).compilation_context
    _, bmis = imported_modules(ctx)
    objects = _compile_all(ctx, compiler, ctx.files.srcs, headers, bmis)
    return [
        DefaultInfo(files = depset(objects)),
        CcInfo(
            compilation_context = headers,
            linking_context = _link(ctx, compiler, objects, alwayslink = True),
        ),
    ]

cc_module = module_rule(
    _cc_module_impl,
    doc = "One C++20 module interface unit (primary or partition) and its implementation units.",
    attrs = {
        "module": attr.string(mandatory = True, doc = "Name as the source spells it, partition included."),
        "interface": attr.label(mandatory = True, allow_single_file = [".cppm"]),
        "impl": attr.label_list(allow_files = [".cc"], doc = "Units that say `module m:x.impl;`. Never imported."),
        "private_deps": attr.label_list(doc = "C++ libraries whose headers these units include and no importer sees.", providers = [CcInfo]),
        "_check_primary": script("//bazel:check_primary.sh"),
        "_scanner": script("//bazel:scan_unit.sh"),
    },
)

cc_module_library = module_rule(
    _cc_module_library_impl,
    doc = "Ordinary translation units that import modules. Always linked in whole.",
    attrs = {
        "srcs": attr.label_list(allow_files = [".cc"]),
        "hdrs": attr.label_list(allow_files = [".h"]),
    },
)

# What cc_test and cc_binary would take and silently ignore, since their macros hand them no sources.
_NOT_PER_TARGET = ["copts", "defines", "includes", "local_defines", "nocopts"]

def _program(rule, name, srcs, deps, hdrs, tags, kwargs):
    for attribute in _NOT_PER_TARGET:
        if attribute in kwargs:
            fail("{}: no `{}` here, a module and its importers must be compiled alike: use --copt for all".format(name, attribute))
    units = name + "_units"
    cc_module_library(
        name = units,
        testonly = kwargs.get("testonly", rule == cc_test),
        srcs = srcs,
        hdrs = hdrs,
        deps = deps,
        tags = tags + ["manual"],
        visibility = ["//visibility:private"],
    )
    rule(name = name, deps = [":" + units], linkstatic = True, tags = tags, **kwargs)

def cc_module_binary(name, srcs, deps = [], hdrs = [], tags = [], **kwargs):
    """cc_binary whose units import modules. Other attributes go to cc_binary."""
    _program(cc_binary, name, srcs, deps, hdrs, tags, kwargs)

def cc_module_test(name, srcs, deps = [], hdrs = [], tags = [], **kwargs):
    """cc_test whose units import modules. Other attributes go to cc_test."""
    _program(cc_test, name, srcs, deps, hdrs, tags, kwargs)
