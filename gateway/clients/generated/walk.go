// Command walk goes through the REST API with the client that was generated from its description: submit, follow, result, list, cancel,
// delete, error. It prints what it saw as JSON, for all languages alike.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strings"

	"docstream/clients/api"
)

const name = "go"

type walk struct {
	*api.ClientWithResponses
	context.Context
}

func main() {
	key := func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+os.Getenv("DOCSTREAM_API_KEY"))
		return nil
	}
	c, err := api.NewClientWithResponses(os.Getenv("DOCSTREAM_SERVER"), api.WithRequestEditorFn(key))
	must(err)
	w := walk{c, context.Background()}
	scan, err := os.ReadFile(os.Args[1])
	must(err)

	id := w.submit("note.txt", []byte("A note for the walk.\n"))
	again := w.submit("note.txt", []byte("A note for the walk.\n"))
	status := w.follow(id)
	format := "text"
	result, err := w.GetResultWithResponse(w, id, &api.GetResultParams{Format: &format})
	must(err)
	tag := []string{"walk:" + name}
	list, err := w.ListJobsWithResponse(w, &api.ListJobsParams{Tag: &tag})
	must(err)
	var listed []string
	for _, j := range list.JSON200.Jobs {
		listed = append(listed, j.JobId)
	}

	long := w.submit("scan.pdf", scan)
	_, err = w.CancelJobWithResponse(w, long)
	must(err)
	cancelled := w.follow(long)
	deleted, err := w.DeleteJobWithResponse(w, id)
	must(err)
	gone, err := w.GetJobWithResponse(w, id, nil)
	must(err)
	unknown, err := w.GetJobWithResponse(w, "job_00000000000000000000000000", nil)
	must(err)
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"same": again == id, "status": status, "result": strings.TrimSpace(string(result.Body)), "listed": len(listed) == 1 && listed[0] == id, "cancelled": cancelled,
		"deleted": deleted.StatusCode(), "gone": gone.JSON410.Error.Code, "error": unknown.JSON404.Error.Code,
	}))
}

func (w walk) submit(filename string, document []byte) string {
	body, key, metadata := base64.StdEncoding.EncodeToString(document), name+" "+filename, map[string]string{"walk": name}
	res, err := w.SubmitDocumentWithResponse(w, &api.SubmitDocumentParams{IdempotencyKey: &key}, api.Submission{Base64: &body, Filename: &filename, Metadata: &metadata})
	must(err)
	if res.JSON202 == nil {
		log.Fatalf("%s: %s", res.Status(), res.Body)
	}
	return res.JSON202.JobId
}

func (w walk) follow(id string) string {
	wait := "10s"
	for {
		res, err := w.GetJobWithResponse(w, id, &api.GetJobParams{Wait: &wait})
		must(err)
		if res.JSON200 == nil {
			log.Fatalf("%s: %s", res.Status(), res.Body)
		}
		if s := string(res.JSON200.Status); s != "pending" && s != "processing" {
			return s
		}
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
