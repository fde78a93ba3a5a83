"""C++20 named modules for a Bazel that has none: clang, one action per unit, BMIs passed on from target to target.

    cc_module          one interface unit, a primary or a partition, and its implementation units
    cc_module_library  ordinary units that import modules
    cc_module_test     cc_test over ordinary units that import modules
    cc_module_binary   cc_binary over the same

Every action takes its command line from the C++ toolchain, so -c opt, --copt and every --config reach BMIs as well as objects.
An interface is compiled once, to an object and to a reduced BMI (no function bodies an importer cannot use).
"""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "ACTION_NAMES")
load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")
load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_test")
load(":copts.bzl", "LANGUAGE", "WARNINGS")
load(":settings.bzl", "BoolSettingInfo")

# An interface goes to an object and to a reduced BMI. Each action runs in a directory of its own, so a BMI must neither point back
# at its source nor know where it was made.
_INTERFACE = [
    "-x",
    "c++-module",
    "-fexperimental-modules-reduced-bmi",
    "-Xclang",
    "-fmodules-embed-all-files",
    "-Xclang",
    "-fmodule-file-home-is-cwd",
]

ModuleInfo = provider(
    doc = "What an importer of a module needs, and what the layering test checks.",
    fields = {
        "name": "module name as the source spells it: strata.pmr or strata.pmr:layer",
        "bmis": "depset of struct(name, file): this module's BMI and those it needs, transitively",
        "units": "depset of struct(name, source, kind, deps): every unit below, with the modules its target declares",
    },
)

def _toolchain(ctx):
    toolchain = find_cpp_toolchain(ctx)
    if "clang" not in toolchain.compiler_executable:
        fail("{}: C++20 modules here need clang 19, the toolchain is {}. Put `build --repo_env=CC=clang-19` in .bazelrc".format(
            ctx.label,
            toolchain.compiler_executable,
        ))
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    return toolchain, features

def _unit(ctx, toolchain, features, source, compilation_context, bmis, output, flags, bmi = None, inputs = []):
    """One action: `source` to the object `output` and, for an interface unit, its BMI."""
    variables = cc_common.create_compile_variables(
        feature_configuration = features,
        cc_toolchain = toolchain,
        user_compile_flags = (
            ctx.fragments.cpp.copts + ctx.fragments.cpp.cxxopts + LANGUAGE +
            (WARNINGS if ctx.attr._strict[BoolSettingInfo].value else [])
        ),
        include_directories = compilation_context.includes,
        quote_include_directories = compilation_context.quote_includes,
        system_include_directories = compilation_context.system_includes,
        preprocessor_defines = compilation_context.defines,
        source_file = source.path,
        output_file = output.path,
        use_pic = True,
    )
    command = cc_common.get_memory_inefficient_command_line(
        feature_configuration = features,
        action_name = ACTION_NAMES.cpp_compile,
        variables = variables,
    )
    known = bmis.to_list()
    arguments = ctx.actions.args()
    arguments.add_all(flags)
    arguments.add_all(["-fmodule-file={}={}".format(b.name, b.file.path) for b in known])
    arguments.add_all(command)
    if bmi:
        arguments.add("-fmodule-output=" + bmi.path)
    ctx.actions.run(
        mnemonic = "CppModule" if bmi else "CppModuleUse",
        progress_message = "Compiling {}".format(source.short_path),
        executable = cc_common.get_tool_for_action(feature_configuration = features, action_name = ACTION_NAMES.cpp_compile),
        arguments = [arguments],
        env = cc_common.get_environment_variables(
            feature_configuration = features,
            action_name = ACTION_NAMES.cpp_compile,
            variables = variables,
        ),
        inputs = depset(
            [source] + [b.file for b in known] + inputs,
            transitive = [toolchain.all_files, compilation_context.headers],
        ),
        outputs = [output] + ([bmi] if bmi else []),
    )

def _link(ctx, toolchain, features, objects, alwayslink):
    context, _ = cc_common.create_linking_context_from_compilation_outputs(
        name = ctx.label.name,
        actions = ctx.actions,
        feature_configuration = features,
        cc_toolchain = toolchain,
        compilation_outputs = cc_common.create_compilation_outputs(
            objects = depset(objects),
            pic_objects = depset(objects),
        ),
        linking_contexts = [d[CcInfo].linking_context for d in ctx.attr.deps],
        user_link_flags = ["-pthread"],
        alwayslink = alwayslink,
        disallow_dynamic_library = True,
    )
    return context

def _declare(ctx, source, extension):
    return ctx.actions.declare_file("_modules/{}/{}.{}".format(ctx.label.name, source.basename, extension))

def _modules(deps):
    return [d[ModuleInfo] for d in deps if ModuleInfo in d]

def _primary_reexports(ctx, partitions):
    """A file that exists only when the primary says `export import :x;` for each of its partitions."""
    checked = ctx.actions.declare_file("_modules/{}/partitions.checked".format(ctx.label.name))
    arguments = ctx.actions.args()
    arguments.add(checked)
    arguments.add(ctx.file.interface)
    arguments.add_all([p.name.partition(":")[2] for p in partitions])
    ctx.actions.run_shell(
        mnemonic = "CppModulePartitions",
        inputs = [ctx.file.interface],
        outputs = [checked],
        arguments = [arguments],
        command = """
out=$1 primary=$2; shift 2
for partition; do
  grep -Eq "^export import :$partition;" "$primary" && continue
  echo "$primary: partition ':$partition' is built into this module but the primary does not re-export it:" \
       "add \\`export import :$partition;\\`, or importers will not see it" >&2
  failed=1
done
[ -z "$failed" ] && : > "$out"
""",
    )
    return checked

def _cc_module_impl(ctx):
    toolchain, features = _toolchain(ctx)
    cc = cc_common.merge_cc_infos(cc_infos = [d[CcInfo] for d in ctx.attr.deps])
    modules = _modules(ctx.attr.deps)
    bmis = depset(transitive = [m.bmis for m in modules])

    partitions = [m for m in modules if m.name.startswith(ctx.attr.module + ":")]
    is_primary = ":" not in ctx.attr.module
    checks = [_primary_reexports(ctx, partitions)] if is_primary and partitions else []

    bmi = _declare(ctx, ctx.file.interface, "pcm")
    objects = [_declare(ctx, ctx.file.interface, "o")]
    _unit(
        ctx,
        toolchain,
        features,
        ctx.file.interface,
        cc.compilation_context,
        bmis,
        objects[0],
        _INTERFACE,
        bmi = bmi,
        inputs = checks,
    )
    bmis = depset([struct(name = ctx.attr.module, file = bmi)], transitive = [bmis])
    for source in ctx.files.impl:
        objects.append(_declare(ctx, source, "o"))
        _unit(ctx, toolchain, features, source, cc.compilation_context, bmis, objects[-1], ["-x", "c++"])

    declared = tuple([m.name for m in modules])
    units = [struct(name = ctx.attr.module, source = ctx.file.interface, kind = "interface", deps = declared)]
    units += [struct(name = ctx.attr.module, source = s, kind = "implementation", deps = declared) for s in ctx.files.impl]
    return [
        DefaultInfo(files = depset(objects + [bmi])),
        ModuleInfo(
            name = ctx.attr.module,
            bmis = bmis,
            units = depset(units, transitive = [m.units for m in modules]),
        ),
        CcInfo(
            compilation_context = cc.compilation_context,
            linking_context = _link(ctx, toolchain, features, objects, alwayslink = False),
        ),
    ]

def _cc_module_library_impl(ctx):
    toolchain, features = _toolchain(ctx)
    cc = cc_common.merge_cc_infos(cc_infos = [
        CcInfo(compilation_context = cc_common.create_compilation_context(
            headers = depset(ctx.files.hdrs),
            quote_includes = depset([".", ctx.label.workspace_root or "."]),
        )),
    ] + [d[CcInfo] for d in ctx.attr.deps])
    modules = _modules(ctx.attr.deps)
    bmis = depset(transitive = [m.bmis for m in modules])

    objects = []
    for source in ctx.files.srcs:
        objects.append(_declare(ctx, source, "o"))
        _unit(ctx, toolchain, features, source, cc.compilation_context, bmis, objects[-1], ["-x", "c++"])
    return [
        DefaultInfo(files = depset(objects)),
        CcInfo(
            compilation_context = cc.compilation_context,
            linking_context = _link(ctx, toolchain, features, objects, alwayslink = True),
        ),
    ]

_COMMON = {
    "deps": attr.label_list(doc = "Modules imported and C++ libraries included by these units.", providers = [CcInfo]),
    "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    "_strict": attr.label(default = "//bazel:strict"),
}

def _rule(implementation, attrs, **kwargs):
    return rule(
        implementation = implementation,
        attrs = dict(_COMMON, **attrs),
        fragments = ["cpp"],
        toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
        incompatible_use_toolchain_transition = True,
        **kwargs
    )

cc_module = _rule(
    _cc_module_impl,
    doc = "One C++20 module interface unit (primary or partition) and its implementation units.",
    attrs = {
        "module": attr.string(mandatory = True, doc = "Name as the source spells it, partition included."),
        "interface": attr.label(mandatory = True, allow_single_file = [".cppm"]),
        "impl": attr.label_list(allow_files = [".cc"], doc = "Units that say `module m:x.impl;`. Never imported."),
    },
)

cc_module_library = _rule(
    _cc_module_library_impl,
    doc = "Ordinary translation units that import modules. Always linked in whole.",
    attrs = {
        "srcs": attr.label_list(allow_files = [".cc"]),
        "hdrs": attr.label_list(allow_files = [".h"]),
    },
)

def _program(rule, name, srcs, deps, hdrs, tags, kwargs):
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
