"""How one C++20 unit is compiled. Every rule of Strata that runs the compiler comes through here, so that all agree on flags and BMIs.

The command line comes from the C++ toolchain and from copts.bzl, never from a target: -c opt, --copt and every --config reach all units
alike, and a BMI of another configuration cannot get in, since Bazel gives each configuration an output directory of its own.
"""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "ACTION_NAMES")
load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")
load(":copts.bzl", "LANGUAGE", "WARNINGS")
load(":settings.bzl", "BoolSettingInfo")

ModuleInfo = provider(
    doc = "What an importer of a module needs, and what the layering test checks.",
    fields = {
        "name": "module name as the source spells it: strata.pmr or strata.pmr:layer",
        "bmis": "depset of struct(name, file, sources): this module's BMI and those it needs, transitively, and what they were made from",
        "private": "CcInfo with the headers that this interface and the partitions below it include and no importer sees",
        "units": "depset of struct(label, name, source, deps, scan): every unit below; `deps` are the modules its target declares, " +
                 "`scan` is what clang-scan-deps says it imports",
    },
)

HeadersInfo = provider(
    doc = "Headers compiled once: see headers.bzl.",
    fields = {"flags": "of every unit that may include one", "files": "what the flags name"},
)

compile_attrs = {
    "deps": attr.label_list(doc = "Modules imported and C++ libraries included by these units.", providers = [CcInfo]),
    "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    "_strict": attr.label(default = "//bazel:strict"),
}

def script(label):
    """An attribute for a script that an action runs."""
    return attr.label(default = label, allow_single_file = True, executable = True, cfg = "exec")

_headers_attrs = {
    "_headers": attr.label(default = "//bazel:standard_headers", providers = [HeadersInfo]),
    "_use_headers": attr.label(default = "//bazel:prelude"),
}

def module_rule(implementation, attrs, takes_headers = True, **kwargs):
    """A rule whose implementation calls clang() and compile_unit(); its units get the compiled headers, if --//bazel:prelude."""
    return rule(
        implementation = implementation,
        attrs = dict(dict(compile_attrs, **(_headers_attrs if takes_headers else {})), **attrs),
        fragments = ["cpp"],
        toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
        incompatible_use_toolchain_transition = True,
        **kwargs
    )

def clang(ctx):
    """Returns the C++ toolchain and its features for this target; a toolchain that is not clang is refused."""
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
    return struct(toolchain = toolchain, features = features)

def imported_modules(ctx):
    """Returns the modules among deps, and the BMIs that a unit with these deps may need."""
    modules = [d[ModuleInfo] for d in ctx.attr.deps if ModuleInfo in d]
    return modules, depset(transitive = [m.bmis for m in modules])

def compile_unit(
        ctx,
        clang,
        source,
        compilation_context,
        bmis,
        output,
        flags,
        mnemonic,
        more_outputs = [],
        inputs = [],
        wrapper = None,
        optimised = True,
        with_headers = True):
    """One action that compiles `source`.

    Args:
      ctx: the rule's context
      clang: what clang() returned
      source: File of the unit
      compilation_context: of all deps, for headers, include directories and defines
      bmis: depset of struct(name, file, sources), the modules the unit may import
      output: File named by -o
      flags: list of flags of this kind of unit
      mnemonic: the action's, by which tools/compdb.py finds it
      more_outputs: list of Files that `flags` make the compiler write
      inputs: list of Files that must exist first
      wrapper: executable to run instead of the compiler, which it gets as its first argument
      optimised: False: without any optimisation, whatever the configuration says; a BMI does not mind
      with_headers: False: without compiled headers, for who only reads the source
    """
    variables = cc_common.create_compile_variables(
        feature_configuration = clang.features,
        cc_toolchain = clang.toolchain,
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
        feature_configuration = clang.features,
        action_name = ACTION_NAMES.cpp_compile,
        variables = variables,
    )
    compiler = cc_common.get_tool_for_action(feature_configuration = clang.features, action_name = ACTION_NAMES.cpp_compile)
    environment = cc_common.get_environment_variables(
        feature_configuration = clang.features,
        action_name = ACTION_NAMES.cpp_compile,
        variables = variables,
    )

    # As Bazel's own compile actions: outputs name this directory, not the sandbox, so that equal inputs give equal BMIs and objects.
    environment = dict(environment, PWD = "/proc/self/cwd")

    # A BMI points back at its sources, which the compiler opens when it has something to say about it.
    known = bmis.to_list()
    arguments = ctx.actions.args()
    if wrapper:
        arguments.add(compiler)
    if with_headers and hasattr(ctx.attr, "_headers") and ctx.attr._use_headers[BoolSettingInfo].value:
        arguments.add_all(ctx.attr._headers[HeadersInfo].flags)
        inputs = inputs + ctx.attr._headers[HeadersInfo].files
    arguments.add_all(flags)
    arguments.add_all(["-fmodule-file={}={}".format(b.name, b.file.path) for b in known])
    arguments.add_all(command)
    if not optimised:
        arguments.add("-O0")
    ctx.actions.run(
        mnemonic = mnemonic,
        progress_message = "Compiling {}".format(source.short_path),
        executable = wrapper or compiler,
        arguments = [arguments],
        env = environment,
        inputs = depset(
            [source] + [f for b in known for f in (b.file,) + b.sources] + inputs,
            transitive = [clang.toolchain.all_files, compilation_context.headers],
        ),
        outputs = [output] + more_outputs,
    )
