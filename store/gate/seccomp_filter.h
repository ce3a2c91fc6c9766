// A seccomp filter that keeps everybody but the gate from changing the gate's mappings.
#pragma once

#include <linux/filter.h>

#include <vector>

#include "store/gate/gate.h"

namespace lightning {

// As HardenOptions::system_calls says, for the mappings in `gates`.
std::vector<sock_filter> SeccompFilter(const std::vector<Gate::Mappings>& gates);

// Installs it in every thread of the process. kSystem when the kernel refuses it.
Status InstallSeccompFilter(std::vector<sock_filter> filter);

}  // namespace lightning
