// Command go prints what human agents and their users write, as it happens.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/deskbridge/deskbridge/client"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func main() {
	address := "127.0.0.1:9090"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	bridge, err := client.New(client.Config{Address: address})
	if err != nil {
		log.Fatal(err)
	}
	defer bridge.Close()
	filter := &deskbridgev1.EventFilter{TypeNames: []string{"Human.*"}}
	for event, err := range bridge.Subscribe(context.Background(), &deskbridgev1.SubscribeRequest{Filter: filter}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.GetPosition(), event.GetTypeName(), event.GetMessage().GetElements())
	}
}
