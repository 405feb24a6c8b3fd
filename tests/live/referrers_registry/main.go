// Command referrers_registry serves the registry of go-containerregistry with its referrers API switched on.
//
// `crane registry serve` is the same registry, but it has no flag for the referrers API and leaves it out
// (cmd/crane/cmd/serve.go of v0.22.1 passes no registry.WithReferrersSupport). Everything is kept in memory.
package main

import (
	"log"
	"net"
	"net/http"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	// The words of `crane registry serve`, so that one reader finds the port of both.
	log.Printf("serving on port %d", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(http.Serve(listener, registry.New(registry.WithReferrersSupport(true))))
}
