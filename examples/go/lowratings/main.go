// Command lowratings prints a line for each rating of two stars or less. Stopped and started again, it goes on where it
// was: an alert comes twice only when the program was killed within a second of it.
//
//	go run ./examples/go/lowratings cursor
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	"github.com/deskbridge/deskbridge/client"
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

func main() {
	address := os.Getenv("DESKBRIDGE_ADDR")
	if address == "" {
		address = "127.0.0.1:9090"
	}
	if len(os.Args) != 2 {
		log.Fatal("usage: lowratings <file for the cursor>")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := alert(ctx, address, client.NewFileCursorStore(os.Args[1]), os.Stdout)
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

// alert begins with the earliest rating there is, where the store has no cursor.
func alert(ctx context.Context, address string, store client.CursorStore, out io.Writer) error {
	bridge, err := client.New(client.Config{Address: address})
	if err != nil {
		return err
	}
	defer bridge.Close()
	request := &deskbridgev1.SubscribeRequest{
		Name: "low-ratings",
		Filter: &deskbridgev1.EventFilter{
			Expression: "event.satisfaction_rating > 0 && event.satisfaction_rating <= 2",
		},
		Start: &deskbridgev1.SubscribeRequest_StartPosition{
			StartPosition: deskbridgev1.StartPosition_START_POSITION_EARLIEST,
		},
	}
	for event, err := range bridge.Subscribe(ctx, request, client.WithCursorStore(store)) {
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "ALERT: user %s gave session %s %d of 5\n",
			event.GetClientUserId(), event.GetSessionId(), event.GetSatisfactionRating()); err != nil {
			return err
		}
	}
	return nil
}
