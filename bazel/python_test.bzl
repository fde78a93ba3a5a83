"""python_test: a test in Python. Bazel 4's own py_test starts with `/usr/bin/env python`, which Debian does not have."""

def python_test(name, src, data = [], args = [], **kwargs):
    """A test that runs `src` with python3, in the root of its runfiles, which is also where imports are looked for.

    Args:
      name: of the test
      src: the program
      data: files it imports or reads
      args: its arguments
      **kwargs: other attributes of sh_test
    """
    native.sh_test(
        name = name,
        srcs = [Label("//bazel:run_python.sh")],
        args = ["$(rootpath %s)" % src] + args,
        data = [src] + data,
        **kwargs
    )
