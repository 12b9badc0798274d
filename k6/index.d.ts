/**
 * **k6/x/pixel**: clients of the Cloud Pixel Playground for load scripts, what
 * becomes of each pixel that they draw, and faults.
 *
 * Clients keep a connection and renew it when it is lost. What they draw stays
 * with them until a gateway has acknowledged or refused it, and a client that
 * comes back asks for what it missed, unless told otherwise.
 *
 * All that is measured are metrics of k6 (README.md lists them), with the tags
 * `codec`, `pod` (gateway) where one is concerned, and those of k6, `scenario`
 * among them.
 *
 * A function that takes time returns a promise. It is rejected with an `Error`
 * whose message says what was wrong, also when the virtual user has to end
 * first. Options that do not exist are an error. Nothing here can be called
 * while a script is loaded, only in its functions, but for `note`, `fail`,
 * `usage` and `playground`.
 */
declare module "k6/x/pixel" {
  /** Milliseconds, or text like `"500ms"`, `"1.5s"`, `"1m30s"`. */
  export type Duration = number | string;

  /** `#RRGGBB`, in either case; what comes back is in upper case. */
  export type Color = string;

  export interface ConnectOptions {
    /** Form of messages on the wire. Default `"binary"`. */
    codec?: "binary" | "json";
    /** Id of the canvas. Default: the gateway's, `main`. */
    canvas?: string;
    /** Name to show, cut to 20 characters. Default: none, anonymous. */
    name?: string;
    /** Base address of the api. A client in JSON needs it to have a picture. */
    api?: string;
    /** `false`: who was cut off comes back as a new client would. Default `true`. */
    resume?: boolean;
    /**
     * `false`: what is missing is counted and left missing, so that one sees
     * what a gateway sent on a connection; after that the picture is not to be
     * trusted. Default `true`: the client comes back at its last position and
     * gets it.
     */
    repair?: boolean;
    /** `false`: no picture is kept, for thousands of clients. Default `true`. */
    grid?: boolean;
    /** Time between attempts to connect: random, below a bound that grows from `min` to `max`. */
    backoff?: { min?: Duration; max?: Duration };
    /** `true`: every operation carries a W3C trace context that is sampled. Default `false`. */
    traceparent?: boolean;
    /** How long a client may take to be there. Default 10 s. */
    joinTimeout?: Duration;
  }

  /**
   * Opens one client. The promise is resolved when it is connected and has the
   * picture, if it keeps one; it is rejected when that takes longer than
   * `joinTimeout`. Each attempt takes the next of several addresses.
   *
   * All clients of a test that connect to the same place with the same options
   * (but for the name) are measured together, whichever virtual user has them:
   * latencies run from `draw` at one to the arrival at all others. In JSON,
   * which carries no author, a pixel is recognised by its cell and colour.
   *
   * The iteration goes on until the client is closed.
   */
  export function connect(url: string | string[], options?: ConnectOptions): Promise<Client>;

  export interface Pixel {
    x: number;
    y: number;
    color: Color;
  }

  export interface Client {
    /**
     * Paints one pixel and returns the number of the operation, at once: it is
     * sent as soon as the connection allows. Throws for a cell outside the
     * canvas, for what is no colour, and when too much is waiting.
     */
    draw(x: number, y: number, color: Color): number;
    /**
     * Paints pixels, in order, and returns the numbers of the operations: one
     * for each 4,096 pixels; in JSON one for each pixel.
     */
    stroke(pixels: Pixel[]): number[];
    /** Calls a function at each event of a kind, in order. Several may listen. */
    on<K extends keyof Events>(event: K, listener: (event: Events[K]) => void): void;
    /**
     * Waits until every operation is in the log or refused for good. The
     * client's own picture may have them a moment later: see `waitFor`, and
     * `seq` of the event `ack`.
     */
    flush(): Promise<void>;
    /** Waits until the client has everything up to a position of the log. */
    waitFor(seq: number): Promise<void>;
    /** Measures the way to the gateway and back, in ms. Rejected while there is no connection. */
    ping(): Promise<number>;
    /** The colour of a cell in the client's picture, `null` when it keeps none. */
    at(x: number, y: number): Color | null;
    /** The gateway that the client is connected to. */
    pod(): string;
    state(): "offline" | "connecting" | "live" | "degraded" | "draining";
    /** Up to where the client has the log. */
    position(): number;
    /** Size of the canvas, in cells. */
    width(): number;
    height(): number;
    /**
     * Lets the client go when its operations are acknowledged and it has what
     * was drawn until now, or after 5 s: what it has not got then is lost. Its
     * last figures are handed to k6; without this they are not.
     */
    close(): Promise<void>;
  }

  export interface Events {
    /** Something was drawn: the positions (prev, seq] of the log. */
    update: {
      prev: number;
      seq: number;
      /** When, by the log, in ms since 1970; 0 when not told. */
      time: number;
      /** The picture was replaced as a whole; `pixels` is empty. */
      picture: boolean;
      /** The canvas was first reset to this colour. */
      reset?: Color;
      /** In order. The name is told in JSON only. */
      pixels: (Pixel & { name: string })[];
    };
    /** An operation is in the log, at or before `seq`. `took` is in ms, from `draw`. */
    ack: { op: number; seq: number; took: number; sends: number };
    /** An operation (0: none in particular) was refused. Unless `final`, it is sent again, after `retryAfter` ms. */
    refused: { op: number; code: string; message: string; retryAfter: number; final: boolean };
    state: { state: string };
    /** A gateway has said its first word, `took` ms after the attempt began. */
    connected: { pod: string; seq: number; took: number };
    /** A connection has ended other than by `close`: 1006 when it broke. */
    disconnected: { code: number; reason: string };
    /**
     * The client has what it missed while it was away, `took` ms after it lost
     * the connection: from the gateway's `memory` or from the `log`
     * (`continued`: one of the two, the gateway did not tell), as a `snapshot`
     * of the whole picture, `reloaded` by REST, or not at all (`skipped`).
     */
    resumed: { by: "memory" | "log" | "continued" | "snapshot" | "reloaded" | "skipped"; seq: number; took: number };
  }

  export interface SwarmOptions extends ConnectOptions {
    /** Where to connect, `ws://` or `wss://`. */
    urls: string | string[];
    /** `true`: clients are called `load 0`, `load 1`, … Default: `name`, for all, or anonymous. */
    names?: boolean;
  }

  /**
   * Many clients in one virtual user, held in Go: one costs two goroutines, and
   * no runtime of JavaScript. Nobody has joined yet.
   */
  export function swarm(options: SwarmOptions): Swarm;

  export interface Swarm {
    /** Adds clients at a constant rate over a time. Rejected when nobody could join. */
    join(n: number, options?: { over?: Duration }): Promise<void>;
    /** Lets the oldest clients go, when they have what they are owed. */
    leave(n: number): Promise<void>;
    /** Replaces the oldest clients by new ones, until the returned function is called. */
    churn(perSecond: number): () => Promise<void>;
    /**
     * Draws by a schedule that waits for nothing, and resolves when the last
     * write was due. One at a time.
     */
    paint(options: PaintOptions): Promise<void>;
    /** Ends what is being painted. */
    rest(): void;
    /** How many clients are connected to each gateway. */
    pods(): Record<string, number>;
    /** How many clients are connected. */
    connected(): number;
    /**
     * Says that a gateway is about to be broken, and returns how many clients
     * that concerns: `pixel_affected…` tell how it goes for them, and
     * `pixel_unaffected_cut` whom nothing explains.
     */
    mark(pod: string): number;
    /**
     * Waits, 30 s unless said otherwise, until every write is answered and
     * everybody has everything. `false` when it did not come to that: what is
     * missing counts as lost.
     */
    settle(timeout?: Duration): Promise<boolean>;
    /** Compares the pictures of all clients and of these apis (base addresses) while nobody draws, and names who differs from the first api. */
    compare(apis: string[]): Promise<string[]>;
    /**
     * Counts writes that were due while another client's to the same cell was
     * under way (`overlapping`), and within a time of one (`nearby`).
     */
    races(within: Duration): { overlapping: number; nearby: number };
    /** The write of each painted cell that clients saw last in the log, and how many writes nobody saw. */
    lastWrites(): { cells: (Pixel & { seq: number })[]; unseen: number };
    /** Ends all clients and hands the last figures to k6; without this they are missing. */
    close(): Promise<void>;
  }

  export interface PaintOptions {
    /** Writes per second of all clients together. */
    rate: number;
    /** The end, by time or by number; one of the two is needed, the earlier counts. */
    duration?: Duration;
    writes?: number;
    /** How many of the clients draw, the oldest first. Default: all, in turn. */
    writers?: number;
    /** How many writes are due at the same moment. Default 1. */
    volley?: number;
    /** Draw only on so many cells, chosen by a lot that is always the same. Default: on all, in turn. */
    targets?: number;
  }

  export interface ChaosOptions {
    /** State file of a playground of this machine that runs services as processes of their own. */
    state?: string;
    /**
     * Pods of a cluster instead. Selectors are label selectors by service;
     * default `app.kubernetes.io/name=gateway`, `=api`, `=redis`.
     */
    kubernetes?: { kubeconfig?: string; context?: string; namespace?: string; selectors?: Record<string, string> };
    /** Where each fault, and each recovery, becomes an annotation with the tag `chaos`. */
    grafana?: { url: string; token?: string };
  }

  /**
   * What breaks parts of a system: processes that a state file names, or pods.
   * Nothing else is ever touched. Each fault counts in `pixel_faults`, and the
   * time until the system was whole again in `pixel_fault_time`.
   */
  export function chaos(options: ChaosOptions): Chaos;

  export type Service = "gateway" | "api" | "redis";

  export interface Chaos {
    /** Names what there is of a service and is ready, in order. */
    targets(service: Service): Promise<string[]>;
    /** Ends targets without a word (SIGKILL; no grace period), all at once. Resolves when others are ready in their place; rejected after a minute. */
    kill(service: Service, ...targets: string[]): Promise<void>;
    /** The same in an orderly way (SIGTERM; the pod's own grace period). */
    stop(service: Service, ...targets: string[]): Promise<void>;
    /** Lets a target do nothing for a time (SIGSTOP, SIGCONT). `false` where that is not possible: pods. */
    pause(target: string, duration: Duration): Promise<boolean>;
    /** Kills Redis and waits until it is there again. */
    restartRedis(): Promise<void>;
  }

  /** Opens connections that never read, for instance straight to gateways. */
  export function sleepers(n: number, urls: string[], canvas: string): Promise<Sleepers>;

  export interface Sleepers {
    /** Reads what there still is and ends them: how many ended by which close code, `"broken"`, or were still `"open"`. */
    wake(): Promise<Record<string, number>>;
  }

  /** What a playground's state file tells; `null` when there is none. */
  export function playground(stateFile: string): Playground | null;

  export interface Playground {
    /** The one port: WebSocket address and base address of the api. */
    ws: string;
    api: string;
    /** The same of each gateway and api. */
    gateways: string[];
    apis: string[];
    processes: { service: string; pod: string; pid: number; addr: string }[];
    /** Whether services are processes of their own, so that chaos is possible. */
    separate: boolean;
    /** For people. */
    description: string;
  }

  /** What processes have used together, by default this one: processor time in s, resident memory in bytes (Linux). */
  export function usage(...pids: number[]): { cpu: number; memory: number };

  /** Keeps a remark for the report. */
  export function note(text: string): void;

  /** Keeps why a run did not come to its end: its report has failed then. */
  export function fail(text: string): void;

  /** Makes reports of what k6 hands to `handleSummary`. */
  export function report(
    about: {
      scenario: string;
      summary: string;
      system?: string;
      settings?: { name: string; value: string; default: string; meaning: string }[];
      /** Of metrics that the script makes itself, by name. */
      meanings?: Record<string, string>;
    },
    data: object,
  ): {
    /** Whether all thresholds were met, there were some, and nothing failed. */
    passed: boolean;
    /** When the run began, in UTC, for names of files: `20060102-150405`. */
    started: string;
    /** For a terminal, for programs, and as a page that needs nothing else. */
    text: string;
    json: string;
    html: string;
  };
}
