"""strata_deps(): everything Strata needs, from what Debian's packages install. Nothing is downloaded.

A workspace that already has one of these repositories keeps its own: each is declared with `maybe`.
"""

load("@bazel_tools//tools/build_defs/repo:utils.bzl", "maybe")
load("//third_party:abseil.bzl", "debian_abseil")
load("//third_party:zlib.bzl", "debian_zlib")

def _files_impl(ctx):
    ctx.file("WORKSPACE", "workspace(name = \"{}\")\n".format(ctx.name))
    for path, text in ctx.attr.files.items():
        ctx.file(path, text)

# Bazel 4.2.3 asks the network for a few repositories it hardly uses. These are what it needs of them.
_files = repository_rule(
    implementation = _files_impl,
    attrs = {"files": attr.string_dict(doc = "path in the repository -> contents")},
)

_RULES_CC = """
cc_binary = native.cc_binary
cc_import = native.cc_import
cc_library = native.cc_library
cc_proto_library = native.cc_proto_library
cc_test = native.cc_test
cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite
objc_import = native.objc_import
objc_library = native.objc_library
fdo_prefetch_hints = native.fdo_prefetch_hints
fdo_profile = native.fdo_profile
"""

_RULES_JAVA = """
java_binary = native.java_binary
java_import = native.java_import
java_library = native.java_library
java_plugin = native.java_plugin
java_runtime = native.java_runtime
java_test = native.java_test
java_toolchain = native.java_toolchain
"""

_COVERAGE = """
filegroup(name = "coverage_report_generator", visibility = ["//visibility:public"])
"""

def strata_deps():
    """Declares the repositories Strata uses and the workspace does not have yet."""
    maybe(_files, name = "rules_cc", files = {"cc/BUILD": "", "cc/defs.bzl": _RULES_CC})
    maybe(_files, name = "rules_java", files = {"java/BUILD": "", "java/defs.bzl": _RULES_JAVA})
    maybe(_files, name = "remote_coverage_tools", files = {"BUILD": _COVERAGE})
    maybe(debian_abseil, name = "com_google_absl")
    maybe(debian_zlib, name = "zlib")
    maybe(
        native.new_local_repository,
        name = "com_google_googletest",
        path = "/usr/src/googletest",
        build_file = "@strata//third_party:googletest.BUILD",
    )
