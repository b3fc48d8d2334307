/**
 * The part of NBD that a writer needs: fixed newstyle negotiation, writes and flushes, one request
 * at a time. Protocol: doc/proto.md of NetworkBlockDevice/nbd.
 */
import { createConnection, type Socket } from 'node:net';
import { once } from 'node:events';

const FIXED_NEWSTYLE_NO_ZEROES = 3;
const OPTION_EXPORT_NAME = 1;
const REQUEST_MAGIC = 0x25609513;
const REPLY_MAGIC = 0x67446698;
const WRITE = 1;
const FLUSH = 3;

export class NbdClient {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #wake: () => void = () => undefined;
  #ended = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (data: Buffer) => {
      this.#received = Buffer.concat([this.#received, data]);
      this.#wake();
    });
    const end = () => {
      this.#ended = true;
      this.#wake();
    };
    socket.on('close', end).on('error', end);
  }

  static async connect(path: string, exportName: string): Promise<NbdClient> {
    const socket = createConnection(path);
    await once(socket, 'connect');
    const client = new NbdClient(socket);
    // NBDMAGIC, IHAVEOPT, flags of the server.
    await client.#take(18);
    const name = Buffer.from(exportName);
    const hello = Buffer.alloc(20);
    hello.writeUInt32BE(FIXED_NEWSTYLE_NO_ZEROES, 0);
    hello.write('IHAVEOPT', 4, 'latin1');
    hello.writeUInt32BE(OPTION_EXPORT_NAME, 12);
    hello.writeUInt32BE(name.length, 16);
    socket.write(Buffer.concat([hello, name]));
    // Size and flags of the export.
    await client.#take(10);
    return client;
  }

  /** Resolves when the server has acknowledged; rejects when it is gone, acknowledged or not. */
  write(offset: number, data: Buffer): Promise<void> {
    return this.#request(WRITE, offset, data.length, data);
  }

  flush(): Promise<void> {
    return this.#request(FLUSH, 0, 0);
  }

  close(): void {
    this.#socket.destroy();
  }

  async #request(type: number, offset: number, length: number, data?: Buffer): Promise<void> {
    const header = Buffer.alloc(28);
    header.writeUInt32BE(REQUEST_MAGIC, 0);
    header.writeUInt16BE(type, 6);
    header.writeBigUInt64BE(BigInt(offset), 16);
    header.writeUInt32BE(length, 24);
    this.#socket.write(data ? Buffer.concat([header, data]) : header);
    const reply = await this.#take(16);
    if (reply.readUInt32BE(0) !== REPLY_MAGIC) throw new Error('not an NBD reply');
    const error = reply.readUInt32BE(4);
    if (error !== 0) throw new Error(`NBD error ${error}`);
  }

  async #take(bytes: number): Promise<Buffer> {
    while (this.#received.length < bytes) {
      if (this.#ended) throw new Error('the NBD server is gone');
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const taken = this.#received.subarray(0, bytes);
    this.#received = this.#received.subarray(bytes);
    return taken;
  }
}
