.DEFAULT_GOAL := help
.PHONY: help build demo test race check servers clean

help: ## this list
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/'

build: ## bin/wpcompat
	go build -o bin/wpcompat ./cmd/wpcompat

demo: build ## probe a fresh local directory and print the verdict; needs no server
	bin/wpcompat check --profile quick

servers: ## build the servers that the tests use into a cache outside the tree
	go run ./internal/testserver/fetch

test: servers ## all tests, also on real servers
	go test -timeout 20m ./...

race: servers ## the same under the race detector
	go test -race -timeout 30m ./backends/... ./conformance/...

check: ## formatting and vet
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these files"; exit 1; }
	go vet ./...

clean: ## what was built here
	rm -rf bin
