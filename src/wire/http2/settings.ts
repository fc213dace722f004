/** SETTINGS: what each side promises and asks. Source: RFC 9113 section 6.5. */
import { HPACK_TABLE_BYTES, H2_FRAME_BYTES } from "../limits.ts";
import { H2Code } from "./error-code.ts";
import { WINDOW_DEFAULT, WINDOW_MAX } from "./flow-window.ts";

export const SettingId = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

/** One setting is an identifier of two bytes and a value of four. */
export const SETTING_BYTES = 6;
/** RFC 9113 section 4.2. */
const FRAME_BYTES_MAX = 0xff_ffff;

/** What the peer has told, starting from the defaults of the protocol. */
export class PeerSettings {
  headerTableSize = HPACK_TABLE_BYTES;
  maxConcurrentStreams: number;
  initialWindowSize: number = WINDOW_DEFAULT;
  maxFrameSize = H2_FRAME_BYTES;
  maxHeaderListSize = Number.POSITIVE_INFINITY;

  /** @param assumedStreams what to keep to until the peer says something. */
  constructor(assumedStreams: number) {
    this.maxConcurrentStreams = assumedStreams;
  }

  /** Takes one setting. Unknown ones are ignored, as they must be. Returns NO_ERROR or what is wrong with the value. */
  apply(id: number, value: number, peerIsServer: boolean): H2Code {
    switch (id) {
      case SettingId.headerTableSize:
        this.headerTableSize = value;
        return H2Code.noError;
      case SettingId.enablePush:
        return value > 1 || (value === 1 && peerIsServer) ? H2Code.protocolError : H2Code.noError;
      case SettingId.maxConcurrentStreams:
        this.maxConcurrentStreams = value;
        return H2Code.noError;
      case SettingId.initialWindowSize:
        if (value > WINDOW_MAX) return H2Code.flowControlError;
        this.initialWindowSize = value;
        return H2Code.noError;
      case SettingId.maxFrameSize:
        if (value < H2_FRAME_BYTES || value > FRAME_BYTES_MAX) return H2Code.protocolError;
        this.maxFrameSize = value;
        return H2Code.noError;
      case SettingId.maxHeaderListSize:
        this.maxHeaderListSize = value;
        return H2Code.noError;
      default:
        return H2Code.noError;
    }
  }
}
