"""compile_fail_test: a source that must not compile, and the sentence with which it must be refused.

The compiler runs in the build, on the flags and BMIs every other unit gets, and what it said is kept. The test passes when it refused and
an error (not a note, not an echoed source line) holds the sentence.
"""

load(":compile.bzl", "clang", "compile_unit", "imported_modules", "module_rule", "script")

def _compile_record_impl(ctx):
    record = ctx.actions.declare_file(ctx.label.name + ".compile")
    _, bmis = imported_modules(ctx)
    compile_unit(
        ctx,
        clang(ctx),
        ctx.file.src,
        cc_common.merge_cc_infos(cc_infos = [d[CcInfo] for d in ctx.attr.deps]).compilation_context,
        bmis,
        record,
        ["-x", "c++", "-fsyntax-only"],
        "CppModuleRefused",
        wrapper = ctx.executable._recorder,
    )
    return [DefaultInfo(files = depset([record]), runfiles = ctx.runfiles([record]))]

compile_record = module_rule(
    _compile_record_impl,
    doc = "What the compiler says about a source: `exit N`, then its messages. Builds whether or not the source compiles.",
    attrs = {
        "src": attr.label(mandatory = True, allow_single_file = [".cc"]),
        "_recorder": script("//bazel:record_compile.sh"),
    },
)

def compile_fail_test(name, src, expect, deps = [], tags = [], **kwargs):
    """A test that `src` is refused by the compiler.

    Args:
      name: of the test
      src: the source, one claim: its name says what must not compile
      expect: text that one line of the compiler's errors must contain, to the letter
      deps: modules and libraries `src` uses
      tags: of the test
      **kwargs: other attributes of sh_test
    """
    record = name + "_record"
    compile_record(name = record, testonly = True, src = src, deps = deps, tags = tags + ["manual"], visibility = ["//visibility:private"])
    native.sh_test(
        name = name,
        size = kwargs.pop("size", "small"),
        srcs = [Label("//bazel:check_refused.sh")],
        data = [":" + record],
        args = ["$(location :%s)" % record, "'%s'" % expect.replace("'", "'\\''")],
        tags = tags + ["once"],  # what is refused in one configuration is refused in all
        **kwargs
    )
