// Sends the lines of test_tagged_clients.py with Datadog's client: send_tagged PORT. It reports on standard error.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/DataDog/datadog-go/statsd"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	client, err := statsd.NewBuffered("127.0.0.1:"+os.Args[1], 20)
	check(err)
	client.Namespace = "node."
	client.Tags = []string{"env:test"}
	for number := 0; number < 400; number++ {
		shop := []string{fmt.Sprintf("shop:s%d", number%3)}
		check(client.Count("orders", 2, shop, 1))
		check(client.Incr("seen", shop, 0.25))
		check(client.Timing("took", time.Duration(number*number*370)*time.Microsecond, shop, 0.5))
		check(client.Histogram("size", float64(number)*1.5, []string{fmt.Sprintf("half:%d", number/200)}, 0.25))
	}
	check(client.Close())
}
