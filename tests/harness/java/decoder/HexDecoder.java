// SPDX-License-Identifier: Apache-2.0
// Lets DumpLogSegments print keys and values as bytes in hexadecimal: as text they could hold anything, a newline too.
import org.apache.kafka.tools.api.Decoder;

public final class HexDecoder implements Decoder<String> {
    @Override
    public String fromBytes(byte[] bytes) {
        return bytes == null ? "null" : java.util.HexFormat.of().formatHex(bytes);
    }
}
