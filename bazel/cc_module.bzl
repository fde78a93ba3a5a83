"""C++20 named modules for a Bazel that has none: clang, one action per unit, BMIs passed on from target to target.

    cc_module          one interface unit, a primary or a partition, and its implementation units
    cc_module_library  ordinary units that import modules
    cc_module_test     cc_test over ordinary units that import modules
    cc_module_binary   cc_binary over the same

An interface is compiled once, to an object and to a reduced BMI (no function bodies an importer cannot use). Importers of a module with
partitions get one BMI for all of it, made from all its interfaces as one unit: see whole_interface.py. There is one kind of object,
position independent: it serves executables and shared libraries, and linking an executable relaxes its thread-local accesses.
"""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_test")
load(":compile.bzl", "ModuleInfo", "clang", "compile_unit", "imported_modules", "module_rule", "script")
load(":prelude.bzl", "PreludeInfo")
load(":settings.bzl", "BoolSettingInfo")

# An interface goes to an object and to a reduced BMI.
_INTERFACE = ["-x", "c++-module", "-fexperimental-modules-reduced-bmi"]

def _declare(ctx, source, extension):
    return ctx.actions.declare_file("_modules/{}/{}.{}".format(ctx.label.name, source.basename, extension))

def _compile_all(ctx, clang, sources, compilation_context, bmis, prelude = None, optimised = True):
    """Compiles units that nobody imports; returns their objects."""
    objects = []
    flags = ["-include-pch", prelude.pch.path] if prelude else []
    inputs = [prelude.pch, prelude.header] if prelude else []
    for source in sources:
        objects.append(_declare(ctx, source, "o"))
        compile_unit(
            ctx,
            clang,
            source,
            compilation_context,
            bmis,
            objects[-1],
            ["-x", "c++"] + flags,
            "CppModuleUse",
            inputs = inputs,
            optimised = optimised,
        )
    return objects

def _scan(ctx, clang, source, compilation_context):
    """What the unit provides and requires (P1689), for the layering test; not made unless asked for."""
    scan = _declare(ctx, source, "p1689.json")
    compile_unit(ctx, clang, source, compilation_context, depset(), scan, [], "CppModuleScan", wrapper = ctx.executable._scanner, with_headers = False)
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

def _whole(ctx, compiler, headers, private, bmis):
    """The BMI that importers of a primary with partitions get, and those it needs."""
    below = bmis.to_list()
    own = [b for b in below if b.name.startswith(ctx.attr.module + ":")]
    others = depset([b for b in below if not b.name.startswith(ctx.attr.module + ":")])
    source = ctx.actions.declare_file("_modules/{}/whole.cppm".format(ctx.label.name))
    interfaces = [ctx.file.interface] + [b.sources[0] for b in own]
    arguments = ctx.actions.args()
    arguments.add(ctx.file._whole_interface)
    arguments.add(source)
    arguments.add_all(interfaces)
    ctx.actions.run(
        mnemonic = "CppModuleWholeSource",
        executable = ctx.executable._run_python,
        inputs = interfaces + [ctx.file._whole_interface],
        outputs = [source],
        arguments = [arguments],
    )
    bmi = ctx.actions.declare_file("_modules/{}/whole.pcm".format(ctx.label.name))
    compile_unit(
        ctx,
        compiler,
        source,
        headers,
        others,
        bmi,
        ["-x", "c++", "-Xclang", "-emit-reduced-module-interface"],
        "CppModuleWhole",
    )
    origin = struct(name = ctx.attr.module, file = bmi, sources = tuple([source] + private.headers.to_list()))
    return bmi, depset([origin], transitive = [others])

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
    partitions = [m for m in modules if m.name.startswith(ctx.attr.module.partition(":")[0] + ":")]
    all_private = cc_common.merge_cc_infos(
        cc_infos = [CcInfo(compilation_context = private)] + [m.private for m in partitions],
    )
    primary = ":" not in ctx.attr.module
    checks = [_primary_reexports(ctx, partitions)] if primary and partitions else []

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
    bmi_of_all = bmi
    if checks:
        all_headers = cc_common.merge_cc_infos(cc_infos = [all_private, CcInfo(compilation_context = headers)])
        bmi_of_all, bmis = _whole(
            ctx,
            compiler,
            all_headers.compilation_context,
            all_private.compilation_context,
            depset(transitive = [m.bmis for m in modules]),
        )
    return [
        DefaultInfo(files = depset(objects + [bmi_of_all])),
        ModuleInfo(
            name = ctx.attr.module,
            bmis = bmis,
            private = all_private,
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
    optimised_tests = ctx.attr._optimised_tests[BoolSettingInfo].value
    optimised = optimised_tests or ctx.attr.with_optimiser or not ctx.attr.testonly

    # A precompiled header is for units as optimised as it is.
    use_prelude = ctx.attr._use_prelude[BoolSettingInfo].value and optimised == optimised_tests
    prelude = ctx.attr.prelude[PreludeInfo] if ctx.attr.prelude and use_prelude else None
    objects = _compile_all(ctx, compiler, ctx.files.srcs, headers, bmis, prelude, optimised)
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
        "_run_python": script("//bazel:run_python.sh"),
        "_scanner": script("//bazel:scan_unit.sh"),
        "_whole_interface": attr.label(default = "//bazel:whole_interface.py", allow_single_file = True),
    },
)

_cc_module_library = module_rule(
    _cc_module_library_impl,
    doc = "Ordinary translation units that import modules. Always linked in whole.",
    attrs = {
        "srcs": attr.label_list(allow_files = [".cc"]),
        "hdrs": attr.label_list(allow_files = [".h"]),
        "prelude": attr.label(providers = [PreludeInfo], doc = "What its units include first, if --//bazel:prelude."),
        "with_optimiser": attr.bool(doc = "Even where tests go without it."),
        "_optimised_tests": attr.label(default = "//bazel:optimised_tests"),
        "_use_prelude": attr.label(default = "//bazel:prelude"),
    },
)

def cc_module_library(name, deps = [], with_prelude = True, **kwargs):
    """Ordinary units that import modules. Always linked in whole.

    Args:
      name: of the target
      deps: modules imported and C++ libraries included
      with_prelude: units that use GoogleTest get it precompiled; False where it would be another one, with other headers
      **kwargs: srcs, hdrs, with_optimiser for what is testonly and to be optimised even without --//bazel:optimised_tests, and what every
        rule has
    """
    tests = [d for d in deps if d.startswith("@com_google_googletest//")]
    _cc_module_library(
        name = name,
        deps = deps,
        prelude = Label("//bazel:gtest_prelude") if tests and with_prelude else None,
        **kwargs
    )

# What cc_test and cc_binary would take and silently ignore, since their macros hand them no sources.
_NOT_PER_TARGET = ["copts", "defines", "includes", "local_defines", "nocopts"]

def _program(rule, name, srcs, deps, hdrs, tags, kwargs):
    with_prelude = kwargs.pop("with_prelude", True)
    with_optimiser = kwargs.pop("with_optimiser", False)
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
        with_prelude = with_prelude,
        with_optimiser = with_optimiser,
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
