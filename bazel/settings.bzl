"""A boolean build setting, so that a command line or a .bazelrc can say --//bazel:strict=true."""

BoolSettingInfo = provider(fields = {"value": "True or False"})

def _bool_setting_impl(ctx):
    return BoolSettingInfo(value = ctx.build_setting_value)

bool_setting = rule(
    implementation = _bool_setting_impl,
    build_setting = config.bool(flag = True),
)
