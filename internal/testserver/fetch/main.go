// Command fetch builds every server that the tests need into the cache.
package main

import (
	"fmt"
	"os"

	"github.com/woodpecker-wal/woodpecker/internal/testserver"
)

func main() {
	for _, v := range []string{testserver.MinIOCurrent, testserver.MinIO202406} {
		if _, err := testserver.FetchMinIO(v); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("minio", v)
	}
}
