// The fields of a record that matter here, read in one pass without a tree; objects within it are read as if they were flat.

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;

final class Message {
    private static final JsonFactory JSON = new JsonFactory();

    String type;
    String id;
    String task;
    String worker;
    String payload;
    String token;
    int attempt;
    int priority;

    static Message read(byte[] bytes) {
        Message message = new Message();
        try (JsonParser parser = JSON.createParser(bytes)) {
            JsonToken token;
            while ((token = parser.nextToken()) != null) {
                if (token == JsonToken.VALUE_STRING || token == JsonToken.VALUE_NUMBER_INT) {
                    message.take(parser);
                }
            }
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
        return message;
    }

    private void take(JsonParser parser) throws IOException {
        String name = parser.currentName();
        if (name == null) {
            return;
        }
        switch (name) {
            case "type" -> type = parser.getText();
            case "id" -> id = parser.getText();
            case "task" -> task = parser.getText();
            case "worker" -> worker = parser.getText();
            case "payload" -> payload = parser.getText();
            case "token" -> token = parser.getText();
            case "attempt" -> attempt = parser.getIntValue();
            case "priority" -> priority = parser.getIntValue();
            default -> { }
        }
    }
}
