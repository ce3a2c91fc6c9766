#include "pkeys_tests/routes/document.h"
namespace lightning::routes {
std::string Document() { return ""; }
std::string MeasureCosts() { return ""; }
}  // namespace lightning::routes
