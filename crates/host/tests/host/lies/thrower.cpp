// A target that throws out of a function of its table: nothing catches it.
#include <retrograde_plugin.h>

#include <stdexcept>

namespace {
rg_status dim(void *, rg_call *, size_t *d) {
  *d = 1;
  return RG_OK;
}
// Exceptions end here, where the host's frames, which are of C, begin.
rg_status eval(void *, rg_call *, size_t n, size_t, const double *, double *, double *) noexcept {
  if (n > 1) throw std::runtime_error("a matrix is singular");
  return RG_OK;
}
int nothing;
rg_status create(const rg_host *, rg_call *, const rg_cfg *, const rg_deps *, rg_ref *made) {
  made->object = &nothing;
  return RG_OK;
}
}  // namespace

extern "C" __attribute__((visibility("default"))) const rg_plugin *retrograde_plugin_v1(const rg_host *) {
  static rg_target_vtable table{};
  table.struct_size = sizeof table;
  table.threading = RG_THREAD_SERIAL;
  table.dim = dim;
  table.eval = eval;
  static rg_component component{};
  component.struct_size = sizeof component;
  component.kind = RG_KIND_TARGET;
  component.name = "thrower";
  component.doc = "It throws";
  component.vtable = &table;
  component.create = create;
  static const rg_component *const components[] = {&component};
  static rg_plugin plugin{};
  plugin.struct_size = sizeof plugin;
  plugin.abi = RG_PLUGIN_ABI;
  plugin.name = "thrower";
  plugin.version = "1.0.0";
  plugin.components = components;
  plugin.n_components = 1;
  return &plugin;
}
