// Command go prints what human agents and their users write, as it happens.
package main

import (
	"context"
	"fmt"
	"io"
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
	if err := follow(context.Background(), address, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func follow(ctx context.Context, address string, out io.Writer) error {
	bridge, err := client.New(client.Config{Address: address})
	if err != nil {
		return err
	}
	defer bridge.Close()
	filter := &deskbridgev1.EventFilter{TypeNames: []string{"Human.*"}}
	for event, err := range bridge.Subscribe(ctx, &deskbridgev1.SubscribeRequest{Filter: filter}) {
		if err != nil {
			return err
		}
		fmt.Fprintln(out, event.GetPosition(), event.GetTypeName(), event.GetMessage().GetElements())
	}
	return nil
}
