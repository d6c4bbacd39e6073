using System.Diagnostics.CodeAnalysis;
using Orleans;

namespace OrleansFs.Model;

/// <summary>What the outcomes of all calls have in common, for code that passes them on without looking at their value.</summary>
/// <typeparam name="TSelf">The outcome.</typeparam>
public interface IFsResult<TSelf>
    where TSelf : struct, IFsResult<TSelf>
{
    /// <summary>Why the call failed, or <see cref="Errno.None"/>.</summary>
    Errno Error { get; }

    /// <param name="error">Not <see cref="Errno.None"/>.</param>
    static abstract TSelf Failed(Errno error);
}

/// <summary>The outcome of a call that has no value to give: success or an errno.</summary>
[GenerateSerializer, Immutable, Alias("ofs.FsResult")]
public readonly record struct FsResult([property: Id(0)] Errno Error) : IFsResult<FsResult>
{
    public static FsResult Ok => default;

    public bool IsOk => Error == Errno.None;

    public static implicit operator FsResult(Errno error) => new(error);

    public static FsResult Failed(Errno error) => error;
}

/// <summary>The outcome of a call: a value, or an errno. Expected outcomes are values; an exception is a bug or a lost connection.</summary>
/// <typeparam name="T">What a successful call gives.</typeparam>
[GenerateSerializer, Immutable, Alias("ofs.FsResult`1")]
public readonly struct FsResult<T> : IFsResult<FsResult<T>>
{
    [Id(0)]
    private readonly T? _value;

    [Id(1)]
    private readonly Errno _error;

    private FsResult(T? value, Errno error)
    {
        _value = value;
        _error = error;
    }

    /// <summary>Why the call failed, or <see cref="Errno.None"/>.</summary>
    public Errno Error => _error;

    public bool IsOk => _error == Errno.None;

    /// <summary>The value of a successful call.</summary>
    /// <exception cref="InvalidOperationException">The call failed: a bug in the caller.</exception>
    public T Value => IsOk ? _value! : throw new InvalidOperationException($"the result is {_error}, not a value");

    public static implicit operator FsResult<T>(T value) => new(value, Errno.None);

    public static implicit operator FsResult<T>(Errno error) =>
        new(default, error == Errno.None ? throw new ArgumentException("an error is not None", nameof(error)) : error);

    static FsResult<T> IFsResult<FsResult<T>>.Failed(Errno error) => error;

    public bool TryGet([MaybeNullWhen(false)] out T value, out Errno error)
    {
        value = _value;
        error = _error;
        return IsOk;
    }

    public override string ToString() => IsOk ? $"{_value}" : _error.ToString();
}
