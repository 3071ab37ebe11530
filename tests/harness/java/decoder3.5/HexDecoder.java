// SPDX-License-Identifier: Apache-2.0
// As that of decoder/, for a version whose tools know no interface of their own for it yet.
import kafka.serializer.Decoder;
import kafka.utils.VerifiableProperties;

public final class HexDecoder implements Decoder<String> {
    public HexDecoder(VerifiableProperties ignored) {
    }

    @Override
    public String fromBytes(byte[] bytes) {
        return bytes == null ? "null" : java.util.HexFormat.of().formatHex(bytes);
    }
}
