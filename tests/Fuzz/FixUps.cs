// What makes a changed input whole again where a checksum or an ID would refuse it: the changes behind it are what is to be tested.

using System.Buffers.Binary;
using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>Checksums and IDs made right again.</summary>
internal static class FixUps
{
    /// <summary>CRC-32C in the last four bytes, of all before.</summary>
    public static byte[] CrcAtEnd(byte[] input)
    {
        if (input.Length >= 4) BinaryPrimitives.WriteUInt32BigEndian(input.AsSpan(input.Length - 4), Crc32C.Of(input.AsSpan(0, input.Length - 4)));
        return input;
    }

    /// <summary>CRC-32C in eight hexadecimal digits before the newline of each line, of the line before them; zeros behind the last line stay.</summary>
    public static byte[] CrcOfLines(byte[] input)
    {
        for (int from = 0; from < input.Length;)
        {
            int newline = input.AsSpan(from).IndexOf((byte)'\n');
            if (newline < 0) break;
            if (newline >= 8) Encoding.ASCII.GetBytes($"{Crc32C.Of(input.AsSpan(from, newline - 8)):x8}").CopyTo(input, from + newline - 8);
            from += newline + 1;
        }

        return input;
    }

    /// <summary>The key ID of every vkey in a text: name + ID + base64 between white space.</summary>
    public static byte[] KeyIds(byte[] input)
    {
        for (int at = 0; at < input.Length;)
        {
            int end = input.AsSpan(at).IndexOfAny(" \t\n"u8);
            end = end < 0 ? input.Length : at + end;
            Span<byte> word = input.AsSpan(at, end - at);
            int plus = word.IndexOf((byte)'+');
            if (plus > 0 && word.Length > plus + 10 && word[plus + 9] == (byte)'+' && Strict.TryReadBase64(word[(plus + 10)..], 8192, out byte[] material) && material.Length > 0 && Strict.IsUtf8(word[..plus]))
            {
                uint id = VerifierKey.ComputeKeyId(Encoding.UTF8.GetString(word[..plus]), material[0], material.AsSpan(1));
                Encoding.ASCII.GetBytes($"{id:x8}").CopyTo(word[(plus + 1)..]);
            }

            at = end + 1;
        }

        return input;
    }

    /// <summary>The frames of a journal, one behind the other from the beginning of each file: identity, both CRCs, both marks and the zeros to the sector's end.</summary>
    /// <param name="input">The files one behind the other.</param>
    /// <param name="fileBytes">The size of one of them.</param>
    /// <param name="identity">Of the journal.</param>
    public static byte[] Frames(byte[] input, int fileBytes, ulong identity)
    {
        for (int file = 0; file < input.Length; file += fileBytes)
        {
            Span<byte> rest = input.AsSpan(file, Math.Min(fileBytes, input.Length - file));
            while (rest.Length >= JournalFrame.Sector && rest[..8].SequenceEqual(JournalFrame.Magic))
            {
                long end = JournalFrame.HeaderSize + (long)BinaryPrimitives.ReadUInt32BigEndian(rest[8..]) + BinaryPrimitives.ReadUInt32BigEndian(rest[12..]) + JournalFrame.TrailerSize;
                BinaryPrimitives.WriteUInt64BigEndian(rest[48..], identity);
                BinaryPrimitives.WriteUInt32BigEndian(rest[56..], Crc32C.Of(rest[..56]));
                BinaryPrimitives.WriteUInt32BigEndian(rest[60..], JournalFrame.Mark);
                long size = (end + JournalFrame.Sector - 1) / JournalFrame.Sector * JournalFrame.Sector;
                if (size > rest.Length) break;
                BinaryPrimitives.WriteUInt32BigEndian(rest[((int)end - 8)..], Crc32C.Of(rest[..((int)end - 8)]));
                BinaryPrimitives.WriteUInt32BigEndian(rest[((int)end - 4)..], JournalFrame.Mark);
                rest[(int)end..(int)size].Clear();
                rest = rest[(int)size..];
            }
        }

        return input;
    }
}
