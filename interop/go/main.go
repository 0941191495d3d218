// `scenarios --list` names the scenarios; `scenarios NAME` runs one against $AMQP_URI.
package main

import (
	"fmt"
	"os"
)

type scenario struct {
	name string
	run  func(*Broker)
}

func main() {
	var all []scenario
	for _, some := range [][]scenario{connections, exchanges, publishing, consuming} {
		all = append(all, some...)
	}
	for _, each := range all {
		if os.Args[1] == "--list" {
			fmt.Println(each.name)
		} else if os.Args[1] == each.name {
			broker := &Broker{uri: os.Getenv("AMQP_URI")}
			defer broker.cleanUp()
			each.run(broker)
		}
	}
}
