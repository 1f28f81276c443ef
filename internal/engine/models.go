package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"docstream/internal/fault"
	"docstream/schemas"
)

// The files of the model set, without the ending that digests has.
const (
	layoutModel      = "layout-cdla.onnx"
	orientationModel = "orientation.onnx"
	quickModel       = "ppocrv6-tiny-rec.onnx"
	quickDictionary  = "ppocrv6-tiny-dict.txt"
)

// digests pins every file of the model set by SHA-256. A result may only come from these bytes, or from
// those that the configuration pins in their place (P5).
var digests = map[string]string{
	"layout-cdla.onnx":       "25b1f27ec56aa932a48f30cbd6293c358a156280f4b20b0a973bab210c39f62c",
	"orientation.onnx":       "2f62c9bfb830a0b417241269fde7ef2d0ad5446c0ed2b8af33b1f6543545e8e2",
	"ppocrv6-tiny-det.onnx":  "193bab7a04fca699a6c82e6abb5b81bdb28177f0abd4062552b04908dafb19f8",
	"ppocrv6-tiny-rec.onnx":  "9ef676d6ed3c88256a2d92c640c44f25b0c40947e111b14b8be8f594091563e6",
	"ppocrv6-tiny-dict.txt":  "2af150bab777d86fa1ce821f6a37eabea90f1bb99ab9c41f031262e892a747bc",
	"ppocrv6-small-det.onnx": "d73e0058b7a8086bbd57f3d10b8bcd4ff95363f67e06e2762b5e814fe9c9410e",
	"ppocrv6-small-rec.onnx": "5435fd747c9e0efe15a96d0b378d5bd157e9492ed8fd80edf08f30d02fa24634",
	"ppocrv6-dict.txt":       "769e7fa79bb297b5f18d8dbd149e364a45bc61f2b3f574e5ea836f0b261c23a6",
}

// ModelSet says which models are used, how hard they look, and where they lie.
type ModelSet struct {
	Dir         string  `koanf:"dir"`            // folder of the models; empty: parts below the cache
	Library     string  `koanf:"library"`        // ONNX Runtime; empty: libonnxruntime.so in Dir
	Device      string  `koanf:"device"`         // cpu or cuda
	Profile     string  `koanf:"profile"`        // fast or accurate: what the reading below is where they are not given
	Recognition string  `koanf:"recognition"`    // tiny, small, or cascade: tiny for every line, small where tiny is unsure
	Doubt       float64 `koanf:"doubt"`          // of a cascade: the mean score of a line below which it is read again, 0 to 1
	WordDoubt   float64 `koanf:"word_doubt"`     // of a cascade: the least score of a sign below which its word is read again, 0 to 1
	Side        int     `koanf:"side"`           // pixels: longest side of the image that lines are looked for on
	Width       float64 `koanf:"width"`          // of a line when it is read, as a share of its true width
	Thorough    float64 `koanf:"thorough_width"` // the same where the thorough model of a cascade reads it again
	Files       Files   `koanf:"files"`          // models in the place of the pinned ones

	Share     string        `koanf:"share"`      // whether one process holds the models for all slots: on, off, or auto: on a GPU
	Batch     int           `koanf:"batch"`      // lines that go through a shared model together, at most
	BatchWait time.Duration `koanf:"batch_wait"` // that a line waits for others, at most
}

// DefaultModelSet is the fast cascade on the CPU.
func DefaultModelSet() ModelSet {
	return ModelSet{Device: CPU, Profile: Fast, Share: Auto, Batch: 16, BatchWait: 2 * time.Millisecond}
}

// Words of [ModelSet.Share].
const (
	Auto = "auto"
	On   = "on"
	Off  = "off"
)

// mostBatch bounds what one batch holds in a device's memory.
const mostBatch = 256

// Shares reports whether one process holds the models for all slots of a pool. On a GPU they would not fit beside each other, and a batch
// of one line leaves it idle; on a CPU processes of their own are as fast and a crash costs one page.
func (s ModelSet) Shares() bool { return s.Share == On || s.Share == Auto && s.Device == CUDA }

func (s ModelSet) batching() Batching {
	return Batching{Rows: s.Batch, Wait: s.BatchWait, Pad: s.Device == CUDA}
}

// Validate names every value that cannot work.
func (s ModelSet) Validate() error {
	var errs []error
	if s.Device != CPU && s.Device != CUDA {
		errs = append(errs, fmt.Errorf("models: device must be %s or %s, is %q", CPU, CUDA, s.Device))
	}
	if s.Share != Auto && s.Share != On && s.Share != Off {
		errs = append(errs, fmt.Errorf("models: share must be %s, %s or %s, is %q", Auto, On, Off, s.Share))
	}
	if s.Batch < 1 || s.Batch > mostBatch || s.BatchWait < 0 || s.BatchWait > time.Second {
		errs = append(errs, fmt.Errorf("models: batch must be 1 to %d and batch_wait at most a second, are %d and %s", mostBatch, s.Batch, s.BatchWait))
	}
	return errors.Join(append(errs, s.validateReading(), s.Files.validate())...)
}

// Folder is where the models lie: Dir, else parts below $DOCSTREAM_CACHE, else below docstream in the user's cache folder.
func (s ModelSet) Folder() string {
	if s.Dir != "" {
		return s.Dir
	}
	cache := os.Getenv("DOCSTREAM_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			user = ".cache"
		}
		cache = filepath.Join(user, "docstream")
	}
	return filepath.Join(cache, "parts")
}

// LibraryPath is where ONNX Runtime lies.
func (s ModelSet) LibraryPath() string {
	if s.Library != "" {
		return s.Library
	}
	return filepath.Join(s.Folder(), "libonnxruntime.so")
}

// Digests are the SHA-256 of every model that can take part in a result, by name. They belong into the pipeline version and into
// document.json. Nothing is read: the digests are pinned, and a file with another one is refused where it is loaded.
func (s ModelSet) Digests() map[string]string {
	m := make(map[string]string)
	for _, file := range s.files() {
		m[file.name()] = file.sha256
	}
	return m
}

// Check reads every file of the set and the library's presence, and names all that is wrong.
func (s ModelSet) Check() error {
	errs := []error{s.Validate()}
	if _, err := os.Stat(s.LibraryPath()); err != nil {
		errs = append(errs, err)
	}
	for _, file := range append(s.files(), witness.model, witness.dictionary) {
		_, err := s.read(file)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// read reads a file of the set and refuses one whose digest is not the pinned one.
func (s ModelSet) read(file pinned) ([]byte, error) {
	path := file.path
	if !strings.ContainsRune(path, filepath.Separator) {
		path = filepath.Join(s.Folder(), path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", file.path, err)
	}
	sum := sha256.Sum256(b)
	if got := hex.EncodeToString(sum[:]); got != file.sha256 {
		return nil, fmt.Errorf("model %s has the SHA-256 %s, not the pinned %s: it is refused", path, got, file.sha256)
	}
	return b, nil
}

// Models are the models of a set, each loaded when it is first asked for: a child that only ever finds regions holds no recognition
// model. They are for one goroutine at a time. Everything missing is the world's fault, so that the harness waits.
type Models struct {
	set    ModelSet
	loaded map[string]*Model // by digest
	remote *remote           // nil: the models are loaded into this process
}

// Open prepares the set; nothing is read yet.
func (s ModelSet) Open() (*Models, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return &Models{set: s, loaded: make(map[string]*Model), remote: sharedDevice()}, nil
}

// Set is what the models were opened from.
func (m *Models) Set() ModelSet { return m.set }

// Layout is PP-PicoDet: [1, 3, 800, 608] to four score and four box tensors; its metadata key character names the classes.
func (m *Models) Layout() (*Model, error) { return m.load(m.set.layout(), nil) }

// Orientation tells how a page is turned: [N, 3, 224, 224] to [N, 4].
func (m *Models) Orientation() (*Model, error) { return m.load(m.set.orientation(), nil) }

// Detection finds text: [1, 3, h, w] to a probability map [1, 1, h, w].
func (m *Models) Detection() (*Model, error) { return m.load(m.set.detection(), nil) }

// Recogniser reads lines: [N, 3, 48, w] to [ArgMaxIndex] and [ArgMaxScore], both [N, T].
type Recogniser struct {
	*Model
	Name       string   // for the result: the model's file without its ending
	Dictionary []string // the characters of the classes 1 and up; class 0 is the blank
}

// Recognisers are the one that reads every line and, in a cascade, the one behind it that reads the doubtful lines again.
func (m *Models) Recognisers() ([]Recogniser, error) {
	var out []Recogniser
	for _, r := range m.set.recognisers() {
		l, err := m.load(r.model, AppendArgMax, ArgMaxIndex, ArgMaxScore)
		if err != nil {
			return nil, err
		}
		d, err := m.dictionary(r.dictionary)
		if err != nil {
			return nil, err
		}
		out = append(out, Recogniser{l, r.model.name(), d})
	}
	return out, nil
}

// Witness is the pinned quick recogniser on the CPU of this process, whatever the set reads pages with and on: what it says decides which pages
// are read at all, and that must not change with their reader (P5).
func (m *Models) Witness() (Recogniser, error) {
	own := m
	if m.remote != nil || m.set.Device != CPU {
		own = &Models{set: ModelSet{Dir: m.set.Dir, Library: m.set.Library, Device: CPU}, loaded: make(map[string]*Model)}
	}
	l, err := own.load(witness.model, AppendArgMax, ArgMaxIndex, ArgMaxScore)
	if err != nil {
		return Recogniser{}, err
	}
	d, err := own.dictionary(witness.dictionary)
	return Recogniser{l, witness.model.name(), d}, err
}

func (m *Models) dictionary(file pinned) ([]string, error) {
	b, err := m.set.read(file)
	if err != nil {
		return nil, absent(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSuffix(l, "\r")
	}
	return append(lines, " "), nil // the space is the last class and not in the file
}

func (m *Models) load(file pinned, change func([]byte) ([]byte, error), outputs ...string) (*Model, error) {
	if l, ok := m.loaded[file.sha256]; ok {
		return l, nil
	}
	if m.remote != nil {
		return m.elsewhere(file, outputs)
	}
	r, err := OpenRuntime(m.set.LibraryPath(), m.set.Device)
	if err != nil {
		return nil, absent(err)
	}
	b, err := m.set.read(file)
	if err == nil && change != nil {
		b, err = change(b)
	}
	if err != nil {
		return nil, absent(err)
	}
	l, err := r.Load(b, outputs...)
	if err != nil {
		return nil, absent(fmt.Errorf("model %s: %w", file.path, err))
	}
	m.loaded[file.sha256] = l
	return l, nil
}

// elsewhere is a model that the shared device has loaded. Of its file only the names are read.
func (m *Models) elsewhere(file pinned, outputs []string) (*Model, error) {
	b, err := m.set.read(file)
	if err != nil {
		return nil, absent(err)
	}
	g, err := parseGraph(b)
	if err != nil {
		return nil, absent(fmt.Errorf("model %s: %w", file.path, err))
	}
	if len(outputs) == 0 {
		outputs = g.outputs
	}
	l := &Model{remote: m.remote, digest: file.sha256, graph: g, outputs: outputs}
	m.loaded[file.sha256] = l
	return l, nil
}

func absent(cause error) error {
	return fault.World(schemas.EngineUnavailable, "%s", schemas.Codes[schemas.EngineUnavailable].Meaning).Because(cause)
}
