// Command distribution_registry serves the registry of distribution 3, as its own program does (cmd/registry).
//
// That one takes in the storage of three clouds, which doubles the time to build it; here is what the tests need.
package main

import (
	"os"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

func main() {
	if err := registry.RootCmd.Execute(); err != nil {
		os.Exit(1)
	}
}
